"""Files that mmengine writes, such as results in JSON and pickle."""
from genpercept_mm.utils.files import write_bytes


def write_files_whole(module):
    """Make ``LocalBackend`` of mmengine's module write whole files, or raise
    an error that names the file; it writes in place."""
    backend = module.LocalBackend

    def put(self, obj, filepath):
        """Write bytes to a file, whose folder is made if it is missing."""
        write_bytes(filepath, obj)

    def put_text(self, obj, filepath, encoding='utf-8'):
        """Write text to a file, whose folder is made if it is missing."""
        write_bytes(filepath, obj.encode(encoding))

    backend.put, backend.put_text = put, put_text
