"""What a person does with jobs on the page: submits, watches, reads, cancels, tries again."""

from pathlib import Path

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visit, put, submit

LONG = {"text": "a swarm", "words": ["swarm"], "pause_seconds": 600}


def form(page: Page) -> Locator:
    return page.get_by_role("region", name="Submit a job")


def job(page: Page) -> Locator:
    return page.locator("#job")


def row(page: Page, job_id: str) -> Locator:
    return page.get_by_role("table", name="Jobs").get_by_role("row").filter(has_text=job_id[-8:])


def test_uploaded_texts_are_searched_and_the_result_quotes_them(visit: Visit, url: str, tmp_path: Path) -> None:
    poem = tmp_path / "poem.txt"
    poem.write_text("The swarm hums.\nA swarm of bees.\n")
    page = visit(url)
    page.get_by_label("Upload texts").set_input_files([poem])
    expect(page.locator("#texts")).to_contain_text("1 text stored and put into the form.")
    expect(form(page).get_by_label("Texts one a line")).to_have_value("poem.txt")
    form(page).get_by_label("Words one a line").fill("swarm\nbees\nwasp")
    form(page).get_by_role("button", name="Submit").click()

    expect(job(page).locator(".state")).to_have_text("succeeded")
    expect(job(page).get_by_role("heading", name="Result")).to_be_visible()
    tally = job(page).locator(".tally div")
    assert [each.inner_text().split() for each in tally.all()] == [["swarm", "2"], ["bees", "1"], ["wasp", "0"]]
    table = job(page).get_by_role("table").filter(has_text="snippet")
    assert table.get_by_role("columnheader").all_inner_texts()[1:] == ["count", "line", "column", "snippet"]
    cells = [line.get_by_role("cell").all_inner_texts() for line in table.get_by_role("row").all()]
    assert cells[1:] == [
        ["2", "1", "5", "The swarm hums."],
        ["2", "3", "A swarm of bees."],
        ["1", "2", "12", "A swarm of bees."],
    ]
    assert table.locator("mark").all_inner_texts() == ["swarm", "swarm", "bees"]
    expect(row(page, page.url)).to_contain_text("succeeded")


def test_stored_texts_are_picked_by_a_press(visit: Visit, url: str, http: httpx.Client) -> None:
    for name in ("picked/one.txt", "picked/two.txt", "other.txt"):
        put(http, name, "a swarm")
    page = visit(url)
    texts = page.get_by_role("region", name="Texts")
    texts.get_by_label("Show only texts whose name is like").fill("picked/**")
    texts.get_by_label("Show only texts whose name is like").press("Enter")
    expect(texts.get_by_role("listitem")).to_have_count(2)
    for name in ("picked/one.txt", "picked/two.txt", "picked/one.txt"):
        texts.get_by_role("button", name=f"Use {name}").click()
    expect(form(page).get_by_label("Texts one a line")).to_have_value("picked/one.txt\npicked/two.txt")


def test_a_text_of_a_name_that_is_taken_is_not_replaced_unasked(
    visit: Visit, url: str, http: httpx.Client, tmp_path: Path
) -> None:
    put(http, "taken.txt", "old")
    new = tmp_path / "taken.txt"
    new.write_text("new")
    page = visit(url)
    page.get_by_label("Upload texts").set_input_files([new])
    expect(page.get_by_role("alert").filter(has_text="The text taken.txt was not stored")).to_be_visible()
    assert http.get("/v1/texts/taken.txt").text == "old"
    page.get_by_label("Replace texts that have the same name").check()
    page.get_by_label("Upload texts").set_input_files([new])
    expect(page.locator("#texts")).to_contain_text("1 text stored")
    expect(page.get_by_role("alert").filter(has_text="was not stored")).to_have_count(0)
    assert http.get("/v1/texts/taken.txt").text == "new"


def test_an_example_fills_in_the_form(visit: Visit, url: str) -> None:
    page = visit(url)
    form(page).get_by_role("button", name="Example 1").click()
    expect(form(page).get_by_label("Words one a line")).to_have_value("swarm\nbees")
    form(page).get_by_role("button", name="Submit").click()
    expect(job(page).locator(".state")).to_have_text("succeeded")


def test_progress_moves_while_the_job_runs_and_never_back(visit: Visit, url: str, http: httpx.Client) -> None:
    job_id = submit(http, text="a swarm", words=["swarm"], pause_seconds=4)
    page = visit(f"{url}/#job/{job_id}")
    bar = job(page).get_by_role("progressbar")
    expect(bar).to_be_visible()
    page.evaluate(
        """() => {
          const bar = document.querySelector("#job > progress");
          window.seen = [bar.value];
          new MutationObserver(() => window.seen.push(bar.value)).observe(bar, { attributes: true });
        }"""
    )
    expect(job(page).locator(".state")).to_have_text("succeeded")
    seen = page.evaluate("window.seen")
    assert seen == sorted(seen)
    assert any(0 < value < 1 for value in seen), seen
    assert seen[-1] == 1
    expect(bar).to_be_hidden()


def test_a_job_is_cancelled_by_a_second_press(visit: Visit, url: str, http: httpx.Client) -> None:
    job_id = submit(http, **LONG)
    page = visit(f"{url}/#job/{job_id}")
    job(page).get_by_role("button", name="Cancel job").click()
    assert http.get(f"/v1/jobs/{job_id}").json()["state"] in ("queued", "running")
    job(page).get_by_role("button", name="Yes, cancel it").click()
    expect(job(page).locator(".state")).to_have_text("cancelled")
    expect(job(page).get_by_role("button")).to_have_count(0)
    assert http.get(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"


def test_a_job_is_cancelled_from_the_table_too(visit: Visit, url: str, http: httpx.Client) -> None:
    job_id = submit(http, **LONG)
    page = visit(url)
    row(page, job_id).get_by_role("button").click()
    row(page, job_id).get_by_role("button", name="Sure?").click()
    expect(row(page, job_id)).to_contain_text("cancelled")


def test_a_failed_job_says_why_and_is_tried_again(visit: Visit, url: str, http: httpx.Client) -> None:
    job_id = submit(http, words=["swarm"], texts=["late.txt"])
    page = visit(f"{url}/#job/{job_id}")
    expect(job(page).locator(".state")).to_have_text("failed")
    expect(job(page)).to_contain_text("there is no text 'late.txt'")
    expect(row(page, job_id)).to_contain_text("there is no text 'late.txt'")
    put(http, "late.txt", "a swarm")
    job(page).get_by_role("button", name="Retry job").click()
    expect(job(page).locator(".state")).to_have_text("succeeded")
    expect(job(page)).to_contain_text("run 2")


def test_what_does_not_fit_is_said_at_its_field(visit: Visit, url: str) -> None:
    page = visit(url)
    words = form(page).get_by_label("Words one a line")
    words.fill("swarm\n" + "x" * 201)
    form(page).get_by_label("Text", exact=True).fill("a swarm")
    form(page).get_by_role("button", name="Submit").click()
    expect(words).to_have_attribute("aria-invalid", "true")
    expect(words).to_be_focused()
    expect(words).to_have_accessible_description(
        "what to look for; each is counted by itself Entry 2: String should have at most 200 characters"
    )
    words.fill("swarm")
    form(page).get_by_label("Texts one a line").fill("both.txt")
    form(page).get_by_role("button", name="Submit").click()
    expect(form(page).get_by_role("alert")).to_contain_text("give either `texts` or `text`")
    form(page).get_by_label("Texts one a line").fill("")
    form(page).get_by_role("button", name="Submit").click()
    expect(job(page).locator(".state")).to_have_text("succeeded")
    expect(form(page).get_by_role("alert")).to_be_hidden()
    expect(words).to_have_attribute("aria-invalid", "false")


def test_the_table_shows_one_state_at_a_time_page_by_page(visit: Visit, url: str, http: httpx.Client) -> None:
    for number in range(16):
        submit(http, text="a swarm", words=[f"word{number}"])
    failed = submit(http, words=["swarm"], texts=["nowhere.txt"])
    page = visit(url)
    jobs = page.get_by_role("region", name="Jobs")
    jobs.get_by_role("button", name="failed").click()
    expect(row(page, failed)).to_be_visible()
    assert set(jobs.locator("tbody .state").all_inner_texts()) == {"failed"}
    jobs.get_by_role("button", name="succeeded").click()
    expect(row(page, failed)).to_have_count(0)
    expect(jobs.locator("tbody tr")).to_have_count(15)
    first = jobs.locator("tbody a").all_inner_texts()
    jobs.get_by_role("button", name="Older").click()
    expect(jobs).to_contain_text("page 2")
    assert not set(first) & set(jobs.locator("tbody a").all_inner_texts())
    jobs.get_by_role("button", name="Newer").click()
    expect(jobs.locator("tbody a").first).to_have_text(first[0])


def test_a_job_is_opened_and_closed_and_the_back_button_works(visit: Visit, url: str, http: httpx.Client) -> None:
    job_id = submit(http, text="a swarm", words=["swarm"])
    page = visit(url)
    row(page, job_id).get_by_role("link").click()
    expect(job(page).get_by_role("heading", name=f"Job {job_id[-8:]}")).to_be_focused()
    expect(page).to_have_title(f"Job {job_id[-8:]} – Essaim")
    job(page).get_by_role("link", name="Close").click()
    expect(job(page)).to_be_hidden()
    page.go_back()
    expect(job(page)).to_contain_text(job_id)


def test_a_job_that_is_not_there_is_said_in_its_place(visit: Visit, url: str) -> None:
    page = visit(f"{url}/#job/nothing")
    expect(job(page).locator(".complaint")).to_have_text("There is no such job: no job has this id.")
    expect(job(page).get_by_role("progressbar")).to_be_hidden()


def test_tasks_show_who_runs_them(visit: Visit, url: str, http: httpx.Client) -> None:
    put(http, "tasks.txt", "a swarm\n" * 40)
    job_id = submit(http, words=["swarm"], texts=["tasks.txt"], piece_bytes=160, pause_seconds=600)
    page = visit(f"{url}/#job/{job_id}")
    job(page).get_by_text("Tasks", exact=True).click()
    expect(job(page).get_by_role("table").locator("tbody tr")).to_have_count(2)
    expect(job(page).get_by_role("table")).to_contain_text("local-")


def test_a_result_is_downloaded_whole(visit: Visit, url: str, http: httpx.Client, tmp_path: Path) -> None:
    job_id = submit(http, text="a swarm", words=["swarm"])
    page = visit(f"{url}/#job/{job_id}")
    with page.expect_download() as download:
        job(page).get_by_role("button", name="Download result").click()
    assert download.value.suggested_filename == f"{job_id}.json"
    download.value.save_as(tmp_path / "result.json")
    assert (tmp_path / "result.json").read_bytes() == http.get(f"/v1/jobs/{job_id}/result").content
