import pytest

from tests.support.prerequisites import need

Skipped, Failed = pytest.skip.Exception, pytest.fail.Exception


@pytest.mark.parametrize("environ", [{}, {"CI": "true"}])
def test_a_service_that_was_found_lets_the_test_go_on(environ: dict[str, str]) -> None:
    assert need("docker", "/usr/bin/docker", "install it", environ) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize("environ", [{}, {"CI": "false"}, {"CI": "true", "PRICING_TEST_WITHOUT": "data,docker"}])
def test_a_missing_service_skips_the_test_at_home_and_where_the_ci_does_without(environ: dict[str, str]) -> None:
    with pytest.raises(Skipped, match="no docker: install it"):
        need("docker", None, "install it", environ)


@pytest.mark.parametrize("without", [None, "", "data", "docker-compose"])
def test_a_missing_service_fails_the_test_under_ci(without: str | None) -> None:
    environ = {"CI": "true"} | ({} if without is None else {"PRICING_TEST_WITHOUT": without})
    with pytest.raises(Failed, match="PRICING_TEST_WITHOUT=docker skips this test"):
        need("docker", found=False, how="install it", environ=environ)
