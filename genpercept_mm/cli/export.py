"""``genpercept export``: models for other runtimes."""
import sys


def add_arguments(parser):
    """Add the flags of ``genpercept export``."""
    parser.add_argument(
        'model', help='name (see genpercept models), checkpoint that holds '
        'its config, folder of weights, or config with --weights')
    parser.add_argument(
        '--out', required=True, metavar='FILE', help='file to write: .onnx, '
        'or .pt2 for torch.export')
    parser.add_argument('--weights', help='checkpoint for a config')
    parser.add_argument(
        '--size', type=int, nargs=2, metavar=('H', 'W'), help='the only size '
        'that the file takes; default: any multiple of 8, where the head '
        'allows it')
    parser.add_argument(
        '--task', help='what a folder of weights predicts, where it does not '
        'say it')


def run(args):
    """Write the file and compare it with the model; return 1 on errors."""
    from ..apis.model_export import check_target, export_model
    from ..apis.model_loading import init_model
    try:
        # before gigabytes are loaded
        check_target(args.out, args.size)
        export_model(init_model(args.model, args.weights, 'cpu', args.task),
                     args.out, args.size)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        print(f'genpercept export: {error}', file=sys.stderr)
        return 1
    return 0
