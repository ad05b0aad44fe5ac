"""`python -m tests.bench.peer`: FastAPI on uvicorn with uvloop and httptools, one process."""

from shared import settings
from shared.processes import prepare_metrics


def main() -> None:
    """Serve until SIGTERM."""
    known = settings.load()
    # As several uvicorn workers need it, which one process of them is measured as.
    prepare_metrics(known.home_dir, "peer")
    import uvicorn

    uvicorn.run(
        "tests.bench.peer.app:app",
        host=known.host,
        port=known.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )


if __name__ == "__main__":
    main()
