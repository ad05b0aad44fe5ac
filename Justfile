# All commands of the project; `just` alone lists them.

python := ".venv/bin/python"

# Some machines forbid bytecode. Without it each process compiles the engine anew, for half a second.
export PYTHONDONTWRITEBYTECODE := ""

[private]
default:
    @{{ just_executable() }} --list --unsorted

# Start the stack and wait until it is ready: `just up`, `just up native`, `just up docker worker=3`; `--empty`: no demo
[no-exit-message]
up *arguments: setup
    @{{ python }} -m deploy up {{ arguments }}

# Stop the stack; its data is kept
[no-exit-message]
down *arguments: setup
    @{{ python }} -m deploy down {{ arguments }}

# Show the stack's programs, servers, addresses and waiting work
[no-exit-message]
status *arguments: setup
    @{{ python }} -m deploy status {{ arguments }}

# Show the last log lines of all services or of one; `just logs api --follow`
[no-exit-message]
logs *arguments: setup
    @{{ python }} -m deploy logs {{ arguments }}

# Draw a trace as a tree on a time axis: TRACE_ID, else the latest market event's
[no-exit-message]
trace *arguments: setup
    @{{ python }} -m deploy.trace {{ arguments }}

# Print only the admin key
[no-exit-message]
key:
    @if test -n "${PRICING_ADMIN_KEY:-}"; then printf '%s\n' "$PRICING_ADMIN_KEY"; \
        else cat "${PRICING_HOME:-.pricing}/admin.key"; fi

# Migrate the database's schema to the newest version
[no-exit-message]
migrate *arguments: setup
    @{{ python }} -m deploy catalogue migrate {{ arguments }}

# Write the whole database to a file, also under the running engine: `just backup FILE`
[no-exit-message]
[positional-arguments]
backup *arguments: setup
    @{{ python }} -m deploy backup "$@"

# Replace the whole database by a backup's, also under the running engine: `just restore FILE`
[no-exit-message]
[positional-arguments]
restore *arguments: setup
    @{{ python }} -m deploy restore "$@"

# Insert or update the products of a CSV or JSON Lines file; `just import --help`
[no-exit-message]
[positional-arguments]
import *arguments: setup
    @{{ python }} -m deploy catalogue import "$@"

# Write the catalogue, `--prices`, `--history` or `--list ID` as CSV, JSON Lines or XLSX: `just export FILE.csv.gz`; `--help`
[no-exit-message]
[positional-arguments]
export *arguments: setup
    @{{ python }} -m deploy catalogue export "$@"

# Delete products, markets, price lists, promotions, or the demo: `just delete product P-100`, `just delete demo`
[no-exit-message]
[positional-arguments]
delete *arguments: setup
    @{{ python }} -m deploy catalogue delete "$@"

# Replace the entries of a price list by those of a file: `just import-prices FILE --list ID`; `--help`
[no-exit-message]
[positional-arguments]
import-prices *arguments: setup
    @{{ python }} -m deploy catalogue import-prices "$@"

# Show the active pricing policy; with a file, publish that policy and reprice all products
[no-exit-message]
[positional-arguments]
policy *file: setup
    @{{ python }} -m deploy catalogue policy "$@"

# Show or change the rulebook: `just rulebook`, `versions`, `diff 1`, `put FILE`, `put-part KIND FILE`; `--help`
[no-exit-message]
[positional-arguments]
rulebook *arguments: setup
    @{{ python }} -m deploy catalogue rulebook "$@"

# Put exchange rates in force: a CSV file of from,to,rate or of the European Central Bank
[no-exit-message]
[positional-arguments]
import-rates *arguments: setup
    @{{ python }} -m deploy catalogue import-rates "$@"

# Decide prices anew: `just recalculate`; `--wait` shows the progress; `--product P-100`, `--category grocery`
[no-exit-message]
[positional-arguments]
recalculate *arguments: setup
    @{{ python }} -m deploy catalogue recalculate "$@"

# Plan changes of rules, and show what they do: `just plan FILE`; `just plan PLAN_ID` shows a plan, `just plan` lists them
[no-exit-message]
[positional-arguments]
plan *arguments: setup
    @{{ python }} -m deploy catalogue plan "$@"

# Publish a plan: `just apply PLAN_ID`
[no-exit-message]
[positional-arguments]
apply *arguments: setup
    @{{ python }} -m deploy catalogue apply "$@"

# Take back a run, an event, a plan or a period: `just undo --run ID`, `--event`, `--plan`, `--since`; then `--apply`
[no-exit-message]
[positional-arguments]
undo *arguments: setup
    @{{ python }} -m deploy catalogue undo "$@"

# List background jobs; `just tasks --failed`, `just tasks show ID`, `just tasks replay ID`
[no-exit-message]
[positional-arguments]
tasks *arguments: setup
    @{{ python }} -m deploy catalogue tasks "$@"

# List market events; `just events --rejected`, `--waiting`, `just events show ID`, `just events replay ID`
[no-exit-message]
[positional-arguments]
events *arguments: setup
    @{{ python }} -m deploy catalogue events "$@"

# List targets that wait for a person; `just holds approve ID --reason R`, `just holds refuse ID --reason R`
[no-exit-message]
[positional-arguments]
holds *arguments: setup
    @{{ python }} -m deploy catalogue holds "$@"

# List webhooks; `just webhooks test ID`, `replay ID CHANGE`, `resume ID`, `rotate ID`, `delete ID`
[no-exit-message]
[positional-arguments]
webhooks *arguments: setup
    @{{ python }} -m deploy catalogue webhooks "$@"

# List revocations of offers; `just offers revoke --reason R` takes offers back, `rotate` and `new-key` make a new key
[no-exit-message]
[positional-arguments]
offers *arguments: setup
    @{{ python }} -m deploy offers "$@"

# Bring in public prices of the past, for the lowest price before a reduction: `just import-history FILE`
[no-exit-message]
[positional-arguments]
import-history *arguments: setup
    @{{ python }} -m deploy catalogue import-history "$@"

# List the price changes of a product with their causes: `just history P-100`; `--since`, `--until`, `--limit`
[no-exit-message]
[positional-arguments]
history *arguments: setup
    @{{ python }} -m deploy catalogue history "$@"

# Invalidate every cached price: after rows of the database were set back, or Redis got foreign entries
[no-exit-message]
new-epoch *arguments: setup
    @{{ python }} -m deploy catalogue new-epoch {{ arguments }}

# Manage API keys: `just keys create --name N --scope S [--expires 90d]`, `just keys list`, `just keys revoke ID`
[no-exit-message]
[positional-arguments]
keys *arguments: setup
    @{{ python }} -m deploy catalogue keys "$@"

# Print a link that signs in to the console, once, on this machine
[no-exit-message]
console *arguments: setup
    @{{ python }} -m deploy catalogue console {{ arguments }}

# Delete all that is stored under a customer's id: `just forget-customer ID`
[no-exit-message]
[positional-arguments]
forget-customer *id: setup
    @{{ python }} -m deploy catalogue forget-customer "$@"

# Show the settings in force with their sources, secrets hidden; `just settings --json`
[no-exit-message]
settings *arguments: setup
    @{{ python }} -m deploy catalogue settings {{ arguments }}

sync := ".venv/bin/uv pip sync -q --compile-bytecode --python .venv --require-hashes requirements-dev.lock"

# Install the locked dependencies into .venv (behind a proxy, with the system's certificates)
setup:
    @test -x {{ python }} || python3 -m venv .venv
    @cmp -s requirements-dev.lock .venv/installed.lock || { \
        echo "· installing the locked dependencies into .venv"; \
        test -x .venv/bin/uv || .venv/bin/pip install -q uv; \
        { {{ sync }} 2>/dev/null || UV_SYSTEM_CERTS=1 {{ sync }}; } && \
        cp requirements-dev.lock .venv/installed.lock; }

# A file's tests run in one process; a third uses what two leave of two cores while they wait. The slow ones, of whole
# stacks, come first, so that all processes end together.
everything := "-n 3 --dist loadfile --no-loadscope-reorder"

# Run the tests, on servers of their own that start on free ports and stop at the end: all in three processes, or chosen ones
test *arguments: setup
    @{{ python }} -m pytest {{ if arguments == "" { everything } else { arguments } }}

# Run the tests that take minutes each or need servers of the system: pages of docs/, TLS, rolling restarts
test-long *arguments: setup
    @{{ python }} -m pytest -m long {{ if arguments == "" { everything } else { arguments } }}

# Put load on a private stack and judge it: `just load --users 50`; `--here`: on yours; `--ui` opens Locust's own page
[no-exit-message]
load *arguments: setup
    @{{ python }} -m tests.load {{ arguments }}

# Measure side by side, with `wrk`: `just bench --quick`, `just bench staleness`; `just bench --help` lists all
[no-exit-message]
bench *arguments: setup
    @{{ python }} -m tests.bench {{ arguments }}

# Check the README's claims, with measured figures
[no-exit-message]
verify *arguments: setup
    @{{ python }} -m tests.verify {{ arguments }}

# Break the engine on purpose, on private stacks: `just chaos --list`, `just chaos worker-killed --seed 7`
[no-exit-message]
chaos *arguments: setup
    @{{ python }} -m tests.chaos {{ arguments }}

# Take pictures of the console's pages for the documents, from the running stack: `just pictures --scheme dark`
pictures *arguments: setup
    @{{ python }} -m tests.pictures {{ arguments }}

# Send hostile inputs to a private stack over every way in: `just fuzz --inputs 20000`, `just fuzz openapi`
[no-exit-message]
fuzz *arguments: setup
    @{{ python }} -m tests.fuzz {{ arguments }}

# Check formatting, lint, types, layers, migrations, and dependencies: unused, undeclared, or for developers only
lint: setup
    @.venv/bin/ruff format --check -q . && .venv/bin/ruff check -q . && .venv/bin/mypy .
    @broken=$(.venv/bin/lint-imports --no-cache 2>&1) || { echo "$broken"; exit 1; }
    @.venv/bin/deptry . --extend-exclude deploy
    @.venv/bin/deptry . --exclude '\.venv' --non-dev-dependency-groups dev
    @{{ python }} -m tests.support.migration_lint

# Run all checks before a commit: lint and tests
check: lint test

# Format all files
format: setup
    @.venv/bin/ruff check -q --fix . ; .venv/bin/ruff format -q .

# Write docs/openapi.json anew from the code
openapi: setup
    @{{ python }} -m api.openapi_file > docs/openapi.json

# Fetch the console's libraries for browsers anew, in the versions of deploy/vendoring.py
vendor: setup
    @{{ python }} -m deploy.vendoring

sbom := ".venv/bin/uv tool run -q --from cyclonedx-bom==7.5.0 cyclonedx-py requirements --pyproject pyproject.toml " + \
    "--mc-type application --output-reproducible --of JSON -o "

# Write the bill of materials of this release, in CycloneDX's JSON: `just sbom FILE`
sbom file="sbom.cdx.json": setup
    @export PYTHONWARNINGS=ignore; {{ sbom }} {{ quote(file) }} requirements.lock 2>/dev/null || \
        UV_SYSTEM_CERTS=1 {{ sbom }} {{ quote(file) }} requirements.lock

# Resolve the dependencies anew into the two lock files
lock: setup
    @.venv/bin/uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 --upgrade \
        pyproject.toml -o requirements.lock
    @.venv/bin/uv pip compile -q --universal --generate-hashes --no-header --python-version 3.11 --upgrade \
        pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock
