"""`just pictures`: the console's pages of the running stack, as pictures for the documents."""

from pathlib import Path

import click

from tests.support import chromium, running_stack

FOLDER = Path(__file__).resolve().parents[2] / "deploy/pictures"
# In the documents: the console's pages by the names of their pictures.
PAGES = {
    "console-overview": "/console",
    "console-products": "/console/products?category=electronics",
    "console-product": "/console/products/P-100",
    "console-rules": "/console/rules",
    "console-policy": "/console/rules/policy",
    "console-plan": "/console/plans",  # and from there to the newest plan
    "console-holds": "/console/holds",
}


@click.command()
@click.option("--width", default=1024, show_default=True, type=click.IntRange(320, 3840), help="Of the window.")
@click.option("--scheme", default="light", show_default=True, type=click.Choice(["light", "dark"]))
@click.option("--folder", default=FOLDER, type=click.Path(file_okay=False, path_type=Path), help="Where they go.")
def main(width: int, scheme: str, folder: Path) -> None:
    """Take pictures of the console of the running stack."""
    stack = running_stack.find()
    if chromium.PATH is None:
        raise click.ClickException("there is no chromium: `apt install chromium`")
    folder.mkdir(parents=True, exist_ok=True)
    with chromium.chromium() as browser:
        window = browser.new_context(
            base_url=stack.url,
            color_scheme="dark" if scheme == "dark" else "light",
            viewport={"width": width, "height": 700},
        )
        page = window.new_page()
        page.goto("/console")
        page.get_by_label("API key").fill(stack.key_file.read_text().strip())
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/console")
        for name, path in PAGES.items():
            page.goto(path, wait_until="load")
            if name == "console-plan" and (plan := page.locator("tbody a")).count():
                plan.first.click()
                page.wait_for_load_state()
            page.screenshot(path=folder / f"{name}.png")
            click.echo(f"{folder / name}.png")


if __name__ == "__main__":
    main()
