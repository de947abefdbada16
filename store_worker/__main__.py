"""`store-worker`, or `python -m store_worker`."""

from messages.transport.command_line.commands import Program, command_line
from messages.transport.edge.publishing import publish_command
from store_worker.commands import stock_group
from store_worker.handlers import HANDLERS
from store_worker.service import NAME, service
from store_worker.settings import Settings

main = command_line(Program(NAME, Settings, service))
main.add_command(stock_group)
main.add_command(publish_command(NAME, HANDLERS))

if __name__ == "__main__":
    main()
