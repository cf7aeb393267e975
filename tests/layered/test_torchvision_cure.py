import subprocess
import sys


def test_open_clip_and_diffusers_import_in_a_fresh_process_without_a_warning() -> None:
    program = (
        "from layered.torchvision_cure import ensure_torchvision; ensure_torchvision(); ensure_torchvision()\n"
        "import open_clip, torchvision; from transformers import CLIPTextModel; print('imported')"
    )
    result = subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", program], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == "imported"
