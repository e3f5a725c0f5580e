"""Draw a small data set of people in the layout of COCO keypoints."""
import argparse

from genpercept_mm.datasets.mini_people import (
    build_mini_people,
    skeleton_sheet,
)


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('--out-dir', default='data/mini_people',
                        help='target folder')
    parser.add_argument('--num-frames', type=int, default=600,
                        help='pictures, of which one in six for validation')
    parser.add_argument('--seed', type=int, default=0,
                        help='other seeds give other people')
    parser.add_argument('--sheet', metavar='PATH',
                        help='also draw an overview into this picture')
    parser.add_argument('--sheet-frames', type=int, default=24,
                        help='frames in the overview')
    return parser.parse_args()


def main():
    args = parse_args()
    build_mini_people(args.out_dir, num_frames=args.num_frames,
                      seed=args.seed)
    if args.sheet:
        skeleton_sheet(args.out_dir, args.sheet, args.sheet_frames)


if __name__ == '__main__':
    main()
