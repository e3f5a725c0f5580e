"""A server on the loopback that speaks the hub's protocol for model files."""
import hashlib
import http.server
import json
import os
import threading
from urllib.parse import unquote, urlsplit


class Hub:
    """Serve folders as repositories; a context manager.

    Args:
        repos (dict[str, str]): Folders by ``'owner/name'``.

    Attributes:
        address (str): For the environment variable ``HF_ENDPOINT``.
        requests (list[str]): Paths of files that were sent.
    """

    def __init__(self, repos):
        self.repos, self.requests = repos, []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def log_message(self, *args):
                pass

            def do_HEAD(self):
                hub.answer(self, body=False)

            def do_GET(self):
                hub.answer(self, body=True)

        self.server = http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), Handler)
        self.address = f'http://127.0.0.1:{self.server.server_address[1]}'

    def __enter__(self):
        threading.Thread(
            target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args):
        self.server.shutdown()
        self.server.server_close()

    def files(self, repo):
        root = self.repos[repo]
        return sorted(
            os.path.relpath(os.path.join(folder, name), root)
            for folder, _, names in os.walk(root) for name in names)

    @staticmethod
    def commit(repo):
        return hashlib.sha1(repo.encode()).hexdigest()

    def answer(self, handler, body):
        path = unquote(urlsplit(handler.path).path).strip('/')
        parts = path.split('/')
        if parts[:2] == ['api', 'models'] and '/'.join(
                parts[2:4]) in self.repos:
            repo = '/'.join(parts[2:4])
            if 'tree' in parts:
                content = [dict(type='file', path=name, oid='0' * 40,
                                size=os.path.getsize(os.path.join(
                                    self.repos[repo], name)))
                           for name in self.files(repo)]
            else:
                content = dict(
                    id=repo, modelId=repo, sha=self.commit(repo),
                    private=False, tags=[], downloads=0, likes=0,
                    siblings=[dict(rfilename=name)
                              for name in self.files(repo)])
            return self.send(handler, json.dumps(content).encode(), body, {
                'Content-Type': 'application/json'})
        repo, name = '/'.join(parts[:2]), '/'.join(parts[4:])
        if parts[2:3] == ['resolve'] and repo in self.repos and (
                name in self.files(repo)):
            with open(os.path.join(self.repos[repo], name), 'rb') as file:
                content = file.read()
            if body:
                self.requests.append(f'{repo}/{name}')
            return self.send(handler, content, body, {
                'ETag': f'"{hashlib.sha256(content).hexdigest()}"',
                'X-Repo-Commit': self.commit(repo)})
        missing = 'EntryNotFound' if repo in self.repos else 'RepoNotFound'
        return self.send(handler, b'', body, {
            'X-Error-Code': missing, 'X-Repo-Commit': self.commit(repo)}, 404)

    @staticmethod
    def send(handler, content, body, headers, status=200):
        handler.send_response(status)
        for key, value in headers.items():
            handler.send_header(key, value)
        handler.send_header('Content-Length', str(len(content)))
        handler.end_headers()
        if body:
            handler.wfile.write(content)
