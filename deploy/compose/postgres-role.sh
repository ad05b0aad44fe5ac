# PostgreSQL's image runs this once, for a new volume: `postgres` is the superuser, `pricing` owns the database only.
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv password PRICING_PASSWORD
CREATE ROLE pricing LOGIN PASSWORD :'password';
ALTER DATABASE pricing OWNER TO pricing;
SQL
