"""What a person does with jobs on the page: watches, cancels, tries again, looks for one."""

from pathlib import Path

import httpx
from playwright.sync_api import expect

from tests.browser.conftest import Visit, job, open_jobs, press_twice, put, row, submit
from tests.integration.essaim_command import wait_until

LONG = {"text": "a swarm", "words": ["swarm"], "pause_seconds": 600}


def test_progress_moves_while_the_job_runs_and_never_back(visit: Visit, url: str, http: httpx.Client) -> None:
    job_id = submit(http, text="a swarm", words=["swarm"], pause_seconds=600)
    page = visit(f"{url}/#job/{job_id}")
    bar = job(page).get_by_role("progressbar")
    expect(bar).to_be_visible()
    seen = [0.0]
    for _ in range(3):
        expect(bar).not_to_have_js_property("value", seen[-1])
        seen.append(bar.evaluate("(bar) => bar.value"))
    assert seen == sorted(seen)
    assert 0 < seen[-1] < 1
    expect(job(page)).to_contain_text("0 of 1 task ended")


def test_a_job_is_cancelled_by_a_second_press(visit: Visit, url: str, http: httpx.Client) -> None:
    job_id = submit(http, **LONG)
    page = visit(f"{url}/#job/{job_id}")
    button = job(page).get_by_role("button")
    button.click()
    assert http.get(f"/v1/jobs/{job_id}").json()["state"] in ("queued", "running")
    press_twice(button)
    expect(job(page).locator(".state")).to_have_text("cancelled")
    expect(job(page).get_by_role("button")).to_have_count(0)
    assert http.get(f"/v1/jobs/{job_id}").json()["state"] == "cancelled"


def test_a_button_that_asks_for_a_second_press_says_so_and_forgets_it_elsewhere(
    visit: Visit, url: str, http: httpx.Client
) -> None:
    page = visit(f"{url}/#job/{submit(http, **LONG)}")
    button = job(page).get_by_role("button")
    button.evaluate("(button) => { button.focus(); button.click(); window.said = button.getAttribute('aria-label') }")
    assert page.evaluate("window.said") == "Yes, cancel it Cancel job"
    job(page).get_by_role("link", name="Close").focus()
    expect(button).to_have_accessible_name("Cancel job")


def test_a_job_is_cancelled_from_the_table_too(visit: Visit, url: str, http: httpx.Client) -> None:
    job_id = submit(http, **LONG)
    page = visit(url)
    press_twice(row(page, job_id).get_by_role("button"))
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


def test_the_table_shows_one_state_at_a_time_page_by_page(visit: Visit, url: str, http: httpx.Client) -> None:
    for number in range(16):
        submit(http, text="a swarm", words=[f"word{number}"])
    failed = submit(http, words=["swarm"], texts=["nowhere.txt"])
    wait_until(lambda: not open_jobs(http), "all jobs have ended")
    page = visit(url)
    jobs = page.get_by_role("region", name="Jobs")
    jobs.get_by_role("button", name="failed").click()
    expect(jobs.locator("tbody .state.succeeded")).to_have_count(0)
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
