"""`store-worker`, or `python -m store_worker`."""

from messages.transport.command_line.commands import Program, command_line
from store_worker.service import service
from store_worker.settings import Settings
from store_worker.stock import stock_group

main = command_line(Program("store_worker", Settings, service))
main.add_command(stock_group)

if __name__ == "__main__":
    main()
