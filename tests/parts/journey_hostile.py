"""`python journey_hostile.py HOST PORT`: writes without end at a database's own port, in a site's network.

User, password and database are libpq's variables. Prints each number that the server acknowledged.
"""

import itertools
import sys
import time

import psycopg


def main(host: str, port: str) -> None:
    numbers = itertools.count()
    while True:
        try:
            with psycopg.connect(
                host=host, port=int(port), connect_timeout=2, sslmode="disable"
            ) as connection:
                connection.autocommit = True
                write(connection, numbers)
        except psycopg.Error:
            time.sleep(0.005)


def write(connection: psycopg.Connection, numbers: "itertools.count[int]") -> None:
    while True:
        number = next(numbers)
        connection.execute("begin read write")
        connection.execute("insert into hostile values (%s)", (number,))
        connection.execute("commit")
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        time.sleep(0.002)


if __name__ == "__main__":
    main(*sys.argv[1:])
