"""From a form to a result: texts are uploaded or picked, requests are filled in, sent and mended."""

from pathlib import Path

import httpx
from playwright.sync_api import expect

from tests.browser.conftest import Visit, form, job, put, row


def test_uploaded_texts_are_searched_and_the_result_quotes_them(visit: Visit, url: str, tmp_path: Path) -> None:
    poem = tmp_path / "poem.txt"
    poem.write_text("The swarm hums.\nA swarm of bees.\n")
    page = visit(url)
    expect(form(page).get_by_role("button", name="Submit")).to_be_visible()
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
