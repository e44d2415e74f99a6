"""What a browser makes of our headers and of the API's description: no violation, no request to anybody else."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.conftest import PageOpener, ServerStarter
from tests.support.browser import PageWatch
from tests.support.server import find_free_port, find_lan_address
from webui import __version__


async def test_the_page_lives_with_its_content_policy(page: Page) -> None:
    """The watch over the page would see every violation in the console."""
    response = await page.goto("/")
    assert response is not None
    assert "'nonce-" in response.headers["content-security-policy"]
    await expect(page.get_by_label("Message")).to_be_visible()


async def test_an_injected_script_does_not_run(page: Page, page_watch: PageWatch) -> None:
    page_watch.allow("Content Security Policy")
    page_watch.allow("404")  # the picture that is not there
    await page.goto("/")
    await expect(page.get_by_label("Message")).to_be_visible()
    await page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.injected = true";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", "<img src='/nothing.png' onerror='window.injected = true'>");
        }"""
    )
    await page.wait_for_function("document.querySelector('img[onerror]').complete")
    assert await page.evaluate("window.injected") is None


async def test_the_description_of_the_api_opens_without_a_network(page: Page) -> None:
    await page.goto("/docs")
    await expect(page.get_by_role("heading", name=f"Glasshouse {__version__}")).to_be_visible()
    await page.locator("#operations-tag-OpenAI").click()
    route = page.get_by_text("/v1/chat/completions", exact=True).first
    await expect(route).to_be_visible(timeout=15_000)


async def test_an_address_that_is_nobodys_says_so_and_leads_back(page: Page, page_watch: PageWatch) -> None:
    page_watch.allow("404")
    response = await page.goto("/there/is/nothing")
    assert response is not None
    assert response.status == 404
    await expect(page.get_by_role("heading", name="Nothing is here")).to_be_visible()
    assert "Exception" not in await page.content()
    await page.get_by_role("link", name="Open your chats").click()
    await expect(page.get_by_label("Message")).to_be_visible()


async def test_a_second_machine_signs_in_by_the_printed_link(
    start_server: ServerStarter, open_page: PageOpener
) -> None:
    """The QR code leads to /signin#passphrase: the page opens without typing, and stays open after a reload."""
    address = find_lan_address()
    assert address is not None, "this test needs a network interface besides loopback"
    server = start_server(lan=True, port=find_free_port("0.0.0.0"))
    [line] = [line for line in server.log.splitlines() if "Passphrase" in line]
    origin = f"http://{address}:{server.port}"

    page = await open_page(base_url=origin)
    await page.goto("/c/none")
    await expect(page).to_have_url(f"{origin}/signin?next=%2Fc%2Fnone")
    await page.goto(f"/signin#{line.split()[-1]}")
    await expect(page).to_have_url(f"{origin}/")
    await expect(page.get_by_label("Message")).to_be_visible()
    await page.reload()
    await expect(page.get_by_label("Message")).to_be_visible()


async def test_the_first_visitor_of_a_container_chats_at_once(
    start_server: ServerStarter, open_page: PageOpener
) -> None:
    address = find_lan_address()
    assert address is not None, "this test needs a network interface besides loopback"
    server = start_server(lan=True, port=find_free_port("0.0.0.0"), env={"GLASSHOUSE_FIRST_VISITOR": "true"})
    assert "The first browser that opens the page is let in" in server.log
    origin = f"http://{address}:{server.port}"

    first = await open_page(base_url=origin)
    await first.goto("/")
    await expect(first).to_have_url(f"{origin}/")
    await first.get_by_role("button", name="Share").click()
    await expect(first.get_by_text("The log of the first start shows the passphrase")).to_be_visible()
    assert f"let in without the passphrase, from {address}" in server.log

    second = await open_page(base_url=origin)
    await second.goto("/")
    await expect(second.get_by_label("Passphrase")).to_be_visible()
