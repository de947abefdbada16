#!/bin/sh
# Runs once, on an empty cluster: creates a database and a role for each service, and a role that reads their views.
set -eu

sql() { psql --quiet --no-psqlrc --set=ON_ERROR_STOP=1 --username="${POSTGRES_USER:-postgres}" --dbname=postgres "$@"; }

create_role() {
  sql --set=role="$1" --set=password="$2" <<'SQL'
CREATE ROLE :"role" LOGIN PASSWORD :'password';
SQL
}

create_database() {
  sql --set=service="$1" <<'SQL'
CREATE DATABASE :"service" OWNER :"service";
REVOKE ALL ON DATABASE :"service" FROM PUBLIC;
GRANT CONNECT ON DATABASE :"service" TO saga_reader;
SQL
}

# The migrations grant this role access to their views, so it comes first.
create_role saga_reader "$PASSWORD_SAGA_READER"
create_role order_saga "$PASSWORD_ORDER_SAGA"
create_role store_worker "$PASSWORD_STORE_WORKER"
create_role delivery_worker "$PASSWORD_DELIVERY_WORKER"
create_database order_saga
create_database store_worker
create_database delivery_worker
