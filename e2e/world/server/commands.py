"""Commands that the servers need before they start."""
import subprocess


def run(*command, given=None):
    """What the command prints, given these bytes to read; its own words are the error."""
    ended = subprocess.run(command, input=given, capture_output=True, check=False, cwd="/")
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {(ended.stdout + ended.stderr).decode(errors='replace')}")
    return ended.stdout.decode(errors="replace").strip()
