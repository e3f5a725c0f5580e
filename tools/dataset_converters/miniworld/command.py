"""The command line of `miniworld.py`."""
import argparse


def parse_args(arguments=None):
    parser = argparse.ArgumentParser(
        prog='miniworld.py',
        description='Make a small data set to try everything on.')
    commands = parser.add_subparsers(
        dest='command', required=True,
        metavar='{rooms,subjects,persons,patterns}')
    rooms = _add_command(
        commands, 'rooms', "furnished rooms, in Hypersim's raw layout",
        out_dir='data/mini_hypersim', num_frames=100)
    _add_rendering(rooms, spp=24)
    subjects = _add_command(
        commands, 'subjects',
        'subjects in rooms, in the layouts of P3M-10k and DIS5K',
        out_dir='data/mini_objects', num_frames=100, each=' of each data set')
    _add_rendering(subjects, spp=12)
    subjects.add_argument(
        '--kind', default='all', choices=['all', 'matting', 'dis'],
        help='matting makes P3M-10k, dis makes DIS5K')
    _add_command(
        commands, 'persons',
        'drawn people, in the layout of COCO keypoints; one picture in six '
        'is for validation', out_dir='data/mini_people', num_frames=600)
    patterns = _add_command(
        commands, 'patterns', 'random shapes in random palettes, without '
        'labels', out_dir='data/mini_patterns', num_frames=600)
    _add_size(patterns)
    return parser.parse_args(arguments)


def _add_command(commands, name, contents, out_dir, num_frames, each=''):
    """Add a sub-command with the options that all of them have."""
    parser = commands.add_parser(
        name, help=contents, description=f'Make {contents}.',
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--out-dir', default=out_dir, help='target folder')
    parser.add_argument('--num-frames', type=int, default=num_frames,
                        help=f'number of frames{each}')
    parser.add_argument('--seed', type=int, default=0,
                        help=f'another seed gives other {name}')
    parser.add_argument('--sheet', metavar='PATH',
                        help='also draw an overview into this picture')
    parser.add_argument('--sheet-frames', type=int, default=24,
                        help=f'number of frames{each} in the overview')
    return parser


def _add_rendering(parser, spp):
    """Add the options of path-traced pictures."""
    parser.add_argument('--frames-per-room', type=int, default=4,
                        help='number of views of each room')
    _add_size(parser)
    parser.add_argument('--spp', type=int, default=spp,
                        help='samples per pixel of the pictures')


def _add_size(parser):
    """Add the options of the size of pictures."""
    parser.add_argument('--width', type=int, default=128,
                        help='width of a picture in pixels')
    parser.add_argument('--height', type=int, default=96,
                        help='height of a picture in pixels')


def _functions(command):
    """Import the builder and the overview of one command only.

    The drawn people need neither Mitsuba nor any data set of the package.
    """
    if command == 'rooms':
        from .rooms import build_rooms, room_sheet
        return build_rooms, room_sheet
    if command == 'subjects':
        from .subjects import build_subjects, subject_sheet
        return build_subjects, subject_sheet
    if command == 'patterns':
        from .patterns import build_patterns, pattern_sheet
        return build_patterns, pattern_sheet
    from .persons import build_persons, skeleton_sheet
    return build_persons, skeleton_sheet


def main(arguments=None):
    """Make a data set and, on request, its overview.

    Args:
        arguments (list[str], optional): The command line, with the name of
            the sub-command first. Defaults to None, which takes that of the
            process.
    """
    options = vars(parse_args(arguments))
    build, draw = _functions(options.pop('command'))
    out_dir = options.pop('out_dir')
    sheet, sheet_frames = options.pop('sheet'), options.pop('sheet_frames')
    build(out_dir, **options)
    if sheet:
        draw(out_dir, sheet, sheet_frames)
