"""Draw a posed and dressed person, part by part.

Each part has its own label on the canvas, which tells what hides a keypoint.
"""
import numpy as np

from .canvas import Stripes
from .skeleton import KEYPOINTS, SIDES

#: Parts of a person, in the order of their numbers.
PARTS = ('trunk', 'skull', 'hair', 'mouth', 'skirt', *KEYPOINTS[:5], *(
    f'{side}_{limb}' for side, _ in SIDES
    for limb in ('upper_arm', 'forearm', 'hand', 'thigh', 'shin', 'foot')))

_FIRST = 1
_PER_PERSON = 64

# radius of the limbs at the joints of a body of girth 1, in metres
_THICK = dict(shoulder=0.055, elbow=0.041, wrist=0.029, hip=0.085,
              knee=0.056, ankle=0.038, neck=0.05)
# the parts that surround a keypoint
_AROUND = dict(shoulder=('upper_arm',), elbow=('upper_arm', 'forearm'),
               wrist=('forearm', 'hand'), hip=('thigh',),
               knee=('thigh', 'shin'), ankle=('shin', 'foot'))


def part_label(person, part):
    """Return the label of a part of a person on the canvas.

    Args:
        person (int): Number of the person, from 0.
        part (str): One of ``PARTS``.

    Returns:
        int: At least 1; 0 stands for everything else.
    """
    return _FIRST + _PER_PERSON * person + PARTS.index(part)


def person_of(labels):
    """Find the person to whom each label belongs.

    Args:
        labels (np.ndarray): Labels from `part_label`, int, any shape.

    Returns:
        np.ndarray: The number of the person, same shape; -1 for none.
    """
    return np.where(labels < _FIRST, -1, (labels - _FIRST) // _PER_PERSON)


def keypoint_states(canvas, person, body, figure):
    """Project the keypoints of a person and find which are hidden.

    A keypoint of the face is visible where its own part is visible. Any
    other keypoint lies inside the body; it is visible where a surrounding
    part is visible that is nearer by hardly more than the thickness of the
    body there.

    Args:
        canvas (Canvas): The finished canvas.
        person (int): Number of the person on the canvas.
        body (Body): Lengths of the body.
        figure (Figure): The posed person, in the world.

    Returns:
        np.ndarray: (17, 3) float: x and y in pixels, where the centre of
        the first pixel is (0, 0), and COCO's v: 0 outside of the picture
        (with x = y = 0), 1 hidden, 2 visible.
    """
    camera = canvas.camera
    points = np.array([figure.points[name] for name in KEYPOINTS])
    places, depths = camera.project(points)
    rows, columns = canvas.label.shape
    states = np.zeros((len(KEYPOINTS), 3))
    size = np.array([camera.width, camera.height])
    for index, name in enumerate(KEYPOINTS):
        place, depth = places[index], depths[index]
        if depth <= 0 or (place < 0).any() or (place >= size).any():
            continue
        sample = tuple(int(k) for k in place[::-1] * (
            rows / camera.height, columns / camera.width))
        parts, reach = _surroundings(name, body)
        seen = canvas.label[sample] in [
            part_label(person, part) for part in parts]
        near = depth - canvas.depth[sample] <= reach
        states[index, :2] = np.clip(place - 0.5, 0, size - 1)
        states[index, 2] = 2 if seen and near else 1
    return states


def _surroundings(name, body):
    """Return the parts around a keypoint and its greatest depth in them."""
    if name not in KEYPOINTS[5:]:
        return (name,), np.inf
    side, joint = name.split('_')
    parts = [f'{side}_{part}' for part in _AROUND[joint]]
    if joint in ('shoulder', 'hip'):
        parts.append('trunk')
    if joint in ('hip', 'knee'):
        parts.append('skirt')
    return parts, 1.5 * body.girth * _THICK[joint] + 0.04


def draw_person(canvas, person, body, figure, look):
    """Draw a person.

    Args:
        canvas (Canvas): The canvas to draw on.
        person (int): Number of the person on the canvas, from 0.
        body (Body): Lengths of the body.
        figure (Figure): The posed person, in the world.
        look (Look): Colours and cuts.
    """
    pen = _Pen(canvas, person, body.girth)
    up = canvas.camera.rotation @ figure.trunk[:, 2]
    stripes = None
    if look.stripe is not None:
        stripes = Stripes(look.stripe, up, 0.055, canvas.camera.local(
            figure.points['pelvis']) @ up)
    _draw_trunk(pen, body, figure, look, stripes)
    for side, _ in SIDES:
        _draw_arm(pen, figure.points, side, look, stripes)
        _draw_leg(pen, figure.points, side, look)
    if look.skirt:
        _draw_skirt(pen, figure.points, look)
    _draw_head(pen, body, figure, look)


class _Pen:
    """Draw parts of a person by name, scaled with the girth."""

    def __init__(self, canvas, person, girth):
        self.canvas, self.person, self.girth = canvas, person, girth

    def ellipsoid(self, part, center, axes, radii, color, stripes=None):
        self.canvas.ellipsoid(center, axes, radii, color,
                              part_label(self.person, part), stripes)

    def ball(self, part, center, radius, color, stripes=None):
        self.canvas.ball(center, radius * self.girth, color,
                         part_label(self.person, part), stripes)

    def cone(self, part, start, end, radius, end_radius, color,
             stripes=None):
        self.canvas.cone(start, end, radius * self.girth,
                         end_radius * self.girth, color,
                         part_label(self.person, part), stripes)

    def limb(self, part, start, end, radius, end_radius, color,
             stripes=None):
        """Draw a cone and the ball at its end."""
        self.cone(part, start, end, radius, end_radius, color, stripes)
        self.ball(part, end, end_radius, color, stripes)


def _draw_trunk(pen, body, figure, look, stripes):
    points, trunk, girth = figure.points, figure.trunk, pen.girth
    pelvis, up = points['pelvis'], trunk[:, 2]
    wide, deep = body.shoulders, 0.105 * girth
    level = figure.trunk.copy()
    # the hips do not bend with the trunk
    aside = points['left_hip'] - points['right_hip']
    aside /= np.linalg.norm(aside)
    ahead = np.cross(aside, (0, 0, 1))
    level = np.stack([ahead, aside, np.cross(ahead, aside)], axis=1)
    pen.ellipsoid('trunk', pelvis + 0.02 * up - 0.015 * ahead, level,
                  (1.15 * deep, body.hips + 0.075 * girth, 0.12 * girth),
                  look.bottom)
    for height, sideways, depth, tall in (
            (0.32, 0.12 * girth + 0.15 * wide, 1.0, 0.26),
            (0.65, 0.045 * girth + 0.6 * wide, 1.08, 0.34)):
        pen.ellipsoid('trunk', pelvis + height * body.trunk * up, trunk,
                      (depth * deep, sideways, tall * body.trunk), look.top,
                      stripes)
    # shoulders slope down from the neck
    for side, _ in SIDES:
        shoulder = points[f'{side}_shoulder']
        pen.cone('trunk', points['neck'] - 0.025 * up, shoulder, 0.055,
                 _THICK['shoulder'], look.top, stripes)
    pen.ball('trunk', points['neck'] - 0.025 * up, 0.055, look.top, stripes)
    pen.cone('trunk', points['neck'] - 0.02 * up, points['skull'],
             _THICK['neck'], 0.9 * _THICK['neck'], look.skin)


def _draw_arm(pen, points, side, look, stripes):
    shoulder, elbow, wrist = (points[f'{side}_{joint}'] for joint in (
        'shoulder', 'elbow', 'wrist'))
    upper, lower = f'{side}_upper_arm', f'{side}_forearm'
    thick = _THICK['shoulder']
    pen.ball(upper, shoulder, thick, look.top, stripes)
    _dressed_limb(pen, upper, shoulder, elbow, thick, _THICK['elbow'],
                  2 * look.sleeve, look.top, look.skin)
    _dressed_limb(pen, lower, elbow, wrist, _THICK['elbow'], _THICK['wrist'],
                  2 * look.sleeve - 1, look.top, look.skin)
    hand = points[f'{side}_hand']
    pen.limb(f'{side}_hand', wrist, 0.4 * wrist + 0.6 * hand, 0.028, 0.038,
             look.skin)
    pen.ball(f'{side}_hand', hand, 0.025, look.skin)


def _draw_leg(pen, points, side, look):
    hip, knee, ankle = (points[f'{side}_{joint}'] for joint in (
        'hip', 'knee', 'ankle'))
    upper, lower = f'{side}_thigh', f'{side}_shin'
    pen.ball(upper, hip, _THICK['hip'], look.bottom)
    _dressed_limb(pen, upper, hip, knee, _THICK['hip'], _THICK['knee'],
                  2 * look.leg, look.bottom, look.skin)
    _dressed_limb(pen, lower, knee, ankle, _THICK['knee'], _THICK['ankle'],
                  2 * look.leg - 1, look.bottom, look.skin)
    heel, toe = points[f'{side}_heel'], points[f'{side}_toe']
    foot = f'{side}_foot'
    pen.ball(foot, heel, 0.038, look.shoe)
    pen.limb(foot, heel, 0.3 * heel + 0.7 * toe, 0.038, 0.042, look.shoe)
    pen.limb(foot, 0.3 * heel + 0.7 * toe, toe, 0.042, 0.03, look.shoe)
    pen.cone(foot, ankle, heel, _THICK['ankle'], 0.038, look.shoe)


def _dressed_limb(pen, part, start, end, radius, end_radius, share, cloth,
                  skin):
    """Draw a limb that is clothed for a share of its length."""
    share = np.clip(share, 0, 1)
    middle = (1 - share) * start + share * end
    between = (1 - share) * radius + share * end_radius
    if share < 1:
        pen.limb(part, start, end, radius, end_radius, skin)
    if share > 0:
        # cloth is slightly wider than the limb
        pen.cone(part, start, middle, 1.06 * radius, 1.12 * between, cloth)
    if share == 1:
        pen.ball(part, end, 1.06 * end_radius, cloth)


def _draw_skirt(pen, points, look):
    hips = (points['left_hip'] + points['right_hip']) / 2
    knees = (points['left_knee'] + points['right_knee']) / 2
    spread = np.linalg.norm(points['left_knee'] - points['right_knee']) / 2
    hem = hips + 0.85 * (knees - hips)
    pen.cone('skirt', hips, hem, 0.13, 0.1 + 0.8 * spread, look.bottom)


def _draw_head(pen, body, figure, look):
    points, skull, size = figure.points, figure.skull, body.head
    center = points['skull']
    scale = size[2] / 0.133

    def at(*share):
        return center + skull @ (np.array(share) * size)

    pen.ellipsoid('skull', center, skull, size, look.skin)
    # the jaw
    pen.ellipsoid('skull', at(0.12, 0, -0.45), skull,
                  size * (0.75, 0.72, 0.55), look.skin)
    pen.ellipsoid('mouth', at(0.84, 0, -0.56), skull,
                  scale * np.array([0.012, 0.026, 0.009]),
                  look.skin * 0.45 + np.array([70, 0, 0]))
    pen.ellipsoid('nose', at(1.0, 0, -0.12), skull,
                  scale * np.array([0.026, 0.014, 0.025]),
                  look.skin * 0.88)
    for side, sign in SIDES:
        eye = points[f'{side}_eye']
        pen.ellipsoid(f'{side}_eye', eye, skull,
                      scale * np.array([0.016, 0.021, 0.014]),
                      (245, 245, 245))
        pen.ellipsoid(f'{side}_eye', eye + skull @ (
            0.010 * scale, -0.002 * sign * scale, 0), skull,
            scale * np.array([0.010, 0.011, 0.012]), (35, 25, 20))
        pen.ellipsoid(f'{side}_ear', points[f'{side}_ear'], skull,
                      scale * np.array([0.024, 0.013, 0.034]),
                      look.skin * 0.92)
        # brows
        pen.ellipsoid('hair', at(0.9, 0.42 * sign, 0.32), skull,
                      scale * np.array([0.012, 0.024, 0.006]),
                      look.hair_color * 0.8)
    _draw_hair(pen, at, skull, size, look)


def _draw_hair(pen, at, skull, size, look):
    color = look.hair_color
    if look.hair == 'bald':
        return
    pen.ellipsoid('hair', at(-0.28, 0, 0.22), skull,
                  size * (0.98, 1.06, 0.98), color)
    if look.hair == 'long':
        pen.ellipsoid('hair', at(-0.6, 0, -0.45), skull,
                      size * (0.55, 1.25, 1.2), color)
    elif look.hair == 'tail':
        pen.limb('hair', at(-1.25, 0, 0.3), at(-1.45, 0, -1.1), 0.035, 0.02,
                 color)
        pen.ball('hair', at(-1.25, 0, 0.3), 0.035, color)
    elif look.hair == 'cap':
        pen.ellipsoid('hair', at(-0.05, 0, 0.5), skull,
                      size * (1.1, 1.12, 0.62), look.shoe)
        pen.ellipsoid('hair', at(1.05, 0, 0.48), skull,
                      size * (0.55, 0.75, 0.06), look.shoe)
