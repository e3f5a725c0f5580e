"""The cameras of Hypersim's scenes, many of which are tilted or shifted."""
from csv import DictReader

CAMERA_CSV = 'metadata_camera_parameters.csv'
_COLUMNS = tuple(f'M_cam_from_uv_{i}{j}' for i in range(3) for j in range(3))


def read_cameras(path):
    """Read ``M_cam_from_uv`` of every scene.

    Args:
        path (str): ``contrib/mikeroberts3000/metadata_camera_parameters.csv``
            of ml-hypersim.

    Returns:
        dict[str, list[list[float]]]: Scene name to 3 x 3 matrix, which takes
        (u, v, 1), u right and v up in [-1, 1], to a ray in camera space.

    Raises:
        ValueError: If a column is missing or a value is no number.
    """
    with open(path, newline='') as file:
        reader = DictReader(file)
        missing = [name for name in ('scene_name', *_COLUMNS)
                   if name not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(
                f'Hypersim: {path} lacks the column(s) {missing}; expected '
                f'{CAMERA_CSV} of ml-hypersim (contrib/mikeroberts3000).')
        cameras = {}
        for row in reader:
            try:
                values = [float(row[name]) for name in _COLUMNS]
            except (TypeError, ValueError) as error:
                raise ValueError(
                    f'Hypersim: {path}, scene {row["scene_name"]}: '
                    f'M_cam_from_uv is incomplete ({error}). Copy the file '
                    'again.') from error
            cameras[row['scene_name']] = [
                values[3 * i:3 * i + 3] for i in range(3)]
    return cameras
