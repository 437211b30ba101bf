"""Upload a finished data set folder to the Hugging Face hub."""

from pathlib import Path

from huggingface_hub import HfApi, constants, get_token
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import validate_repo_id

from rewards.errors import UserError


def check_publishing(repo: str, image_storage: str) -> None:
    """Refuse before the build what could not be uploaded after it.

    Raises:
        UserError: The hub is switched off, no token is there, the name is no repository's, or the
            rows hold no pixels.
    """
    if image_storage == "path":
        raise UserError(
            "--push_to_hub needs the images in the rows: their paths mean nothing on another "
            "machine. Take --image_storage embed."
        )
    try:
        validate_repo_id(repo)
    except ValueError as error:
        raise UserError(f"--push_to_hub {repo!r} is no name of a repository: {error}") from error
    if constants.is_offline_mode():
        raise UserError("--push_to_hub needs the hub, but HF_HUB_OFFLINE is set; unset it.")
    if get_token() is None:
        raise UserError("--push_to_hub needs a token: run `hf auth login` or set HF_TOKEN.")


def publish(folder: Path, repo: str) -> str:
    """Upload ``folder`` to the data set repository ``repo``, made private if new; return its URL.

    The upload is cut into several commits; started again, it passes over what is there.

    Raises:
        UserError: The hub refuses.
    """
    api = HfApi()
    try:
        url = api.create_repo(repo, repo_type="dataset", private=True, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, repo_type="dataset")
    except (HfHubHTTPError, OSError) as error:
        raise UserError(
            f"uploading {folder} to {repo} failed ({str(error).splitlines()[0]}). The folder is "
            "complete; the same command tries the upload again."
        ) from error
    return str(url)
