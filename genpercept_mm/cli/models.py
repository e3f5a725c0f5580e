"""``genpercept models``: published weights by name."""
import sys

from .tables import print_table


def add_arguments(parser):
    """Add the flags of ``genpercept models``."""
    parser.add_argument(
        'pattern', nargs='?', default='*', help='names to list, with * and ?')
    parser.add_argument('--task', help='only those of a task, such as depth')
    parser.add_argument(
        '--download-command', metavar='NAME', help='print the command that '
        'downloads a model on a machine with network')


def run(args):
    """Print a table of models; return 1 if there is none."""
    from ..apis import list_models
    from ..apis.zoo import download_command, find_entry
    if args.download_command:
        try:
            print(download_command(args.download_command))
        except ValueError as error:
            print(f'genpercept models: {error}', file=sys.stderr)
            return 1
        return 0
    names = list_models(args.pattern, args.task)
    if not names:
        print(f'genpercept models: none matches {args.pattern!r}'
              + (f' with task {args.task!r}' if args.task else ''),
              file=sys.stderr)
        return 1
    rows = [('name', 'task', 'family', 'licence', 'hub')]
    for name in names:
        metadata = find_entry(name)['Metadata']
        rows.append((name, metadata['Task'], metadata['Family'],
                     metadata['License'].split(' (')[0],
                     metadata.get('Hub', 'in this package')))
    print_table(rows)
    return 0
