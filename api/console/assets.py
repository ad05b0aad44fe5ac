"""The console's style, script and vendored library, under addresses that change with their content."""

import gzip
import hashlib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from litestar import Request, Response, get

from api.http.negotiation import accepts_gzip
from shared.errors import NotFound

FOLDER = Path(__file__).parent / "static"
PATH = "/assets/console"
TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
FOR_A_YEAR = "public, max-age=31536000, immutable"


class Asset(NamedTuple):
    """One file, as it is and compressed."""

    content: bytes
    compressed: bytes
    digest: str
    media_type: str


@cache
def _files() -> dict[str, Asset]:
    return {path.name: _asset(path) for path in FOLDER.iterdir() if path.suffix in TYPES}


def _asset(path: Path) -> Asset:
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:12]
    return Asset(content, gzip.compress(content, mtime=0), digest, TYPES[path.suffix])


def address(name: str) -> str:
    """The address of a file."""
    return f"{PATH}/{_files()[name].digest}/{name}"


@get(f"{PATH}/{{digest:str}}/{{name:str}}", include_in_schema=False)
async def asset(request: Request[Any, Any, Any], digest: str, name: str) -> Response[bytes]:
    """Return a file. A request never reaches the file system by a name of its own."""
    found = _files().get(name)
    if found is None or found.digest != digest:
        raise NotFound(f"no file {name!r}")
    headers = {"cache-control": FOR_A_YEAR, "vary": "Accept-Encoding"}
    if not accepts_gzip(request.headers.getall("accept-encoding", [])):
        return Response(found.content, media_type=found.media_type, headers=headers)
    return Response(found.compressed, media_type=found.media_type, headers=headers | {"content-encoding": "gzip"})
