"""The command line: each command reads its arguments, calls one function and prints what it returns.

Heavy modules are imported inside the commands, so that `--help` is instant. Exit codes: 0 done, 1 failed work, 2 wrong
input, 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from layered.errors import FailedWorkError, UserError

if TYPE_CHECKING:
    from layered import Brief
    from pipeline.briefs import BriefList
    from pipeline.config import RunConfig
    from pipeline.run import RunSession

FAILED_WORK = 1
WRONG_INPUT = 2
STOPPED = 130

DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG, errno.EIO)
"""Errors of the system that a person mends without touching the command."""

WORDS_LOOKED_AT = 10_000
"""Briefs that are searched for unknown words when a run starts; `plan` looks at all of them."""

app = typer.Typer(
    name="layerprism",
    help="Design briefs in, datasets of multi-layer transparent images out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
console = Console(highlight=False)

ConfigFile = Annotated[Path, typer.Argument(help="A YAML configuration, such as configs/demo.yaml.", metavar="CONFIG")]
RunFolder = Annotated[str, typer.Argument(help="The folder of a run, or its URL: s3://bucket/run.", metavar="RUN")]
NewRunFolder = Annotated[
    str, typer.Option("--out", help="The folder of the run, or its URL (s3://bucket/run); an existing one goes on.")
]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Overrides one value: layer_flux.attempts=2.")]


def main() -> None:
    """The entry point `layerprism`."""
    # Two threads in each of two busy processes are many times slower than one; and one thread gives the same bytes
    # everywhere.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(WRONG_INPUT)
    except FailedWorkError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(FAILED_WORK)
    except OSError as error:
        if error.errno not in DISK_TROUBLE and not isinstance(error, PermissionError):
            raise
        where = f"{error.filename}: " if error.filename else ""
        line = f"{where}{error.strerror or error}; once that is mended, the same command goes on"
        print(f"error: {line}", file=sys.stderr)
        sys.exit(FAILED_WORK)


@app.command()
def layer(
    caption: Annotated[str, typer.Argument(help='What the layer shows: "a red apple".')],
    output: Annotated[Path, typer.Option("--output", "-o", help="The PNG to write, with transparency.")],
    style: Annotated[str, typer.Option(help="The look, one of the model's styles.")] = "cartoon",
    seed: Annotated[int, typer.Option(help="Another seed, another picture.")] = 0,
    config: Annotated[Path | None, typer.Option(help="Takes models and settings from a configuration.")] = None,
    set_: Overrides = None,
) -> None:
    """Draws one transparent layer."""
    from pipeline.single import brief_of, draw_layer, write_png

    loaded = _config_or_default(config, set_)
    _warn_of_unknown_words([brief_of(caption, style)], loaded)
    write_png(output, draw_layer(caption, style, seed, loaded))
    console.print(f"{output}")


@app.command()
def matte(
    images: Annotated[list[Path], typer.Argument(help="RGB pictures on a flat background.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder for the RGBA pictures.")],
    backend: Annotated[
        str | None, typer.Option(help="keyer, layerprism, vitmatte, rembg, triangulation or native.")
    ] = None,
    background: Annotated[str | None, typer.Option(help="#rrggbb; estimated from the border otherwise.")] = None,
    second: Annotated[Path | None, typer.Option(help="The same layer rendered on another colour.")] = None,
    second_background: Annotated[str | None, typer.Option(help="The background of that one.")] = None,
    config: Annotated[Path | None, typer.Option(help="Takes settings from a configuration.")] = None,
    set_: Overrides = None,
) -> None:
    """Frees pictures from their flat background."""
    from pipeline.single import Backgrounds, matte_files, triangulate_files

    backgrounds = Backgrounds(background, second_background)
    if second is not None:
        if backend not in (None, "triangulation"):
            raise UserError(f"--second makes a pair for triangulation, not for the back end {backend}")
        console.print(f"{triangulate_files(images, second, output, backgrounds)}")
        return
    overrides = [*(set_ or []), *([f"matting.backend={backend}"] if backend else [])]
    for path in matte_files(images, output, backgrounds, _config_or_default(config, overrides)):
        console.print(f"{path}")


@app.command()
def plan(config: ConfigFile, set_: Overrides = None) -> None:
    """Shows what would run: samples, layers, batches, time, storage, money."""
    from pipeline.briefs import load_briefs
    from pipeline.config import load_config
    from pipeline.estimate_view import render_estimate
    from pipeline.estimating import estimate_config
    from pipeline.plan import make_plan
    from pipeline.plan_summary import describe_plan, render_summary

    began = time.time()
    loaded = load_config(config, set_ or [])
    briefs = load_briefs(loaded.plan, loaded.seed)
    _say_left_out(briefs)
    if loaded.estimate.measured is None:
        console.print(render_summary(describe_plan(make_plan(loaded, briefs), loaded)))
        return
    told = estimate_config(loaded, briefs, loaded.estimate.measured, 0, console, began)
    console.print(render_summary(describe_plan(told.plan, loaded), measured=True))
    console.print(render_estimate(told.estimate), soft_wrap=True)


@app.command()
def estimate(
    config: ConfigFile,
    batches: Annotated[int, typer.Option(min=1, help="Full batches that are tried.")] = 12,
    from_: Annotated[
        str | None, typer.Option("--from", help="A saved measurement (.json), or a RUN, in place of a trial.")
    ] = None,
    save: Annotated[Path | None, typer.Option(help="Keeps the measurement, for --from and estimate.measured.")] = None,
    json_: Annotated[Path | None, typer.Option("--json", help="Also writes the estimate as JSON.")] = None,
    set_: Overrides = None,
) -> None:
    """Tries a few batches and tells what the whole plan takes: time, GPU hours, storage, money per accepted sample."""
    began = time.time()
    from pipeline.briefs import load_briefs
    from pipeline.config import load_config
    from pipeline.estimate_view import render_estimate, write_estimate
    from pipeline.estimating import estimate_config
    from pipeline.measurement import write_measurement
    from pipeline.plan_summary import describe_plan, render_summary

    loaded = load_config(config, set_ or [])
    briefs = load_briefs(loaded.plan, loaded.seed)
    _say_left_out(briefs)
    with _stopped_by_ctrl_c():
        told = estimate_config(loaded, briefs, from_, batches, console, began)
    console.print(render_summary(describe_plan(told.plan, loaded), measured=True))
    console.print(render_estimate(told.estimate), soft_wrap=True)
    if save is not None:
        write_measurement(save, told.measurement)
        console.print(f"{save}: for --from, and as estimate.measured for plan, run and report", soft_wrap=True)
    if json_ is not None:
        write_estimate(json_, told.estimate)


@app.command()
def run(
    config: ConfigFile,
    out: NewRunFolder,
    set_: Overrides = None,
    only: Annotated[
        str | None, typer.Option(help="Again from what is stored: filters, or matting,compose,filters.")
    ] = None,
) -> None:
    """Plans, generates, filters and publishes; the same command resumes."""
    began = time.time()
    from pipeline.briefs import BriefList, load_briefs
    from pipeline.config import load_config
    from pipeline.importing import holds_import
    from pipeline.phases import Phase, record_phase
    from pipeline.rework import parse_only
    from pipeline.run import new_run, run_again

    steps = parse_only(only) if only else ()
    loaded = load_config(config, set_ or [])
    briefs = BriefList(()) if steps and holds_import(out) else load_briefs(loaded.plan, loaded.seed)
    _say_left_out(briefs)
    _warn_of_unknown_words(briefs.briefs[:WORDS_LOOKED_AT], loaded)
    session = run_again(out, loaded, briefs, steps) if steps else new_run(out, loaded, briefs)
    with session.driving(), _stopped_by_ctrl_c():
        record_phase(session.run.storage, Phase("preparing", began, time.time()))
        shortfall = ""
        if steps:
            asyncio.run(session.again(steps, console))
        else:
            shortfall = asyncio.run(session.make(briefs, console))
        _publish(session, prune=False)
    _exit_for_failures(session)
    if shortfall:
        raise FailedWorkError(shortfall)


@app.command()
def submit(
    config: Annotated[
        Path | None, typer.Argument(help="A YAML configuration, such as configs/cluster.yaml.", metavar="CONFIG")
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", help="The run: a URL, or a path that all machines of the cluster share.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="The job server, http://HOST:8265; this machine's otherwise; local starts one.")
    ] = None,
    set_: Overrides = None,
    wait: Annotated[bool, typer.Option(help="Follows the job until it ends.")] = True,
    follow: Annotated[str | None, typer.Option(help="Follows a job that was submitted before.", metavar="ID")] = None,
    stop: Annotated[str | None, typer.Option(help="Stops a job; the run can go on later.", metavar="ID")] = None,
) -> None:
    """The same as run, as a job of a Ray cluster; submitted again, it resumes."""
    from pipeline.submission import prepare
    from pipeline.submit import SubmitOptions, follow_job, stop_job, submit_run

    if stop is not None or follow is not None:
        if config is not None or (stop is not None and follow is not None):
            raise UserError("give either a CONFIG to submit, or the ID of one job to --follow or to --stop")
        if stop is not None:
            stop_job(address, stop, _say)
            return
        code = follow_job(address, follow or "", _say)
    else:
        if config is None or out is None:
            raise UserError("give a CONFIG and where the run goes, --out RUN; or --follow ID, or --stop ID")
        code = submit_run(prepare(config, set_ or [], out), SubmitOptions(address, wait), _say)
    if code:
        raise typer.Exit(code)


@app.command()
def retry(run: RunFolder) -> None:
    """Makes the failed samples of a run again, then publishes."""
    from pipeline.importing import existing_import
    from pipeline.run import existing_run

    session = existing_run(run)
    with session.driving(), _stopped_by_ctrl_c():
        again = existing_import(session.run, session.config) if session.run.imported else session
        asyncio.run(again.retry(console))
        _publish(session, prune=False)
    _exit_for_failures(session)


@app.command(name="import")
def import_(
    path: Annotated[
        Path, typer.Argument(help="PrismLayers Parquet, PSD or ORA files, a publication or a layered folder.")
    ],
    out: NewRunFolder,
    licence: Annotated[str, typer.Option(help="Of what says nothing of its licence: CC-BY-4.0.")] = "",
    config: Annotated[Path | None, typer.Option(help="Takes splits and the executor from a configuration.")] = None,
    set_: Overrides = None,
) -> None:
    """Makes a run of samples that were made elsewhere; the same command resumes."""
    from configs import IMPORT_CONFIG
    from pipeline.config import load_config
    from pipeline.importing import new_import
    from pipeline.run import RunSession

    session = new_import(path, out, load_config(config or IMPORT_CONFIG, set_ or []), licence)
    with session.run.driving(), _stopped_by_ctrl_c():
        asyncio.run(session.make(console))
    console.print(
        f"{out}: score and publish with layerprism run {config or IMPORT_CONFIG} --out {out} --only filters, "
        f"or publish unscored with layerprism shard {out}",
        soft_wrap=True,
    )
    _exit_for_failures(RunSession(session.run, session.config))


@app.command()
def shard(
    run: RunFolder,
    config: Annotated[
        Path | None, typer.Option("--config", help="A file with some settings, such as calibrate writes.")
    ] = None,
    set_: Overrides = None,
    prune: Annotated[bool, typer.Option(help="Also removes former publications.")] = False,
) -> None:
    """Publishes again from current decisions and thresholds."""
    from pipeline.run import existing_run

    session = existing_run(run, set_ or [], config)
    with session.driving():
        _publish(session, prune)


@app.command()
def sample(
    out: Annotated[Path, typer.Option("--out", help="The layered folder to write.")],
    prompt: Annotated[str | None, typer.Option(help="What to draw; a layout's own caption otherwise.")] = None,
    layout: Annotated[Path | None, typer.Option(help="Boxes: a brief or one of ART's layouts, or one a line.")] = None,
    layers: Annotated[int | None, typer.Option(help="Layers of a layout by the designer.")] = None,
    model: Annotated[str, typer.Option(help="A folder with art.json.")] = "layerprism-tiny",
    hold: Annotated[
        str | None,
        typer.Option(
            help="Keeps parts of a design: DIR/KEY, DIR/KEY:0,background, DIR/KEY:-1 (all but layer 1), DIR/KEY:merged."
        ),
    ] = None,
    add: Annotated[list[str] | None, typer.Option(help="One more layer on top: x0,y0,x1,y1.")] = None,
    seed: Annotated[int, typer.Option(help="Another seed, other designs.")] = 0,
    samples: Annotated[int, typer.Option(min=1, help="Designs per layout.")] = 1,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps of the sampler.")] = None,
    cfg: Annotated[float | None, typer.Option(min=1, help="The true CFG scale; 1 switches it off.")] = None,
    guidance: Annotated[float | None, typer.Option(help="The guidance embedding, where the model has one.")] = None,
    negative: Annotated[str, typer.Option(help="What not to draw.")] = "",
    preset: Annotated[str, typer.Option(help="default, or released: as ART's released code samples.")] = "default",
    side: Annotated[int | None, typer.Option(help="Scales layouts to this longer side in pixels.")] = None,
    batch: Annotated[int, typer.Option(min=1, help="Designs drawn at once.")] = 4,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    format_: Annotated[
        list[str] | None, typer.Option("--format", help="Writes the folder's designs as this too, as export does.")
    ] = None,
) -> None:
    """Draws whole designs, all layers at once, from a prompt and boxes."""
    from exports.formats import format_of
    from pipeline.export import export_beside
    from pipeline.sample import ModelOptions, draw_into, prepare
    from pipeline.sample_orders import SampleOptions

    options = SampleOptions(prompt, layout, layers, hold, tuple(add or ()), negative, seed, samples, side)
    for name in format_ or ():
        format_of(name)  # an unknown one is said before anything is drawn
    job = prepare(options, ModelOptions(model, preset, steps, cfg, guidance, device))
    for warning in job.warnings():
        print(f"warning: {warning}", file=sys.stderr)
    sheet = draw_into(out, job, batch, console)
    console.print(f"{out}: designs {len(job.orders)}, contact sheet {sheet}", soft_wrap=True)
    for line in export_beside(out, format_ or (), console):
        console.print(line, soft_wrap=True)


@app.command()
def export(
    path: Annotated[
        str, typer.Argument(help="A layered folder, DIR/KEY for one sample, a tar, a publication or a run.")
    ],
    format_: Annotated[str, typer.Option("--format", "-f", help="psd, ora, svg, pptx, webp, coco, png, prismlayers.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The folder to write; for one sample also the file.")],
    select: Annotated[
        Path | None,
        typer.Option(help="Which: ids in a text file, a CSV or Parquet with sample_id, or a JSON query of a run."),
    ] = None,
    key: Annotated[list[str] | None, typer.Option(help="One sample by name; may be given several times.")] = None,
    outlines: Annotated[bool, typer.Option(help="SVG: texts as outlines instead of text with its font.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes; one for each core otherwise.")] = None,
) -> None:
    """Writes samples as files that other programs open; the same command goes on where it was stopped."""
    from exports.formats import FormatOptions
    from pipeline.export import ExportOptions
    from pipeline.export import export as write

    options = ExportOptions(select, tuple(key or ()), FormatOptions(outlines=outlines), workers)
    with _stopped_by_ctrl_c():
        exported = write(path, format_, output, options, console)
    for line in exported.lines():
        console.print(line, soft_wrap=True)
    exported.require_all()


@app.command()
def train(config: ConfigFile, set_: Overrides = None) -> None:
    """Fine-tunes ART on a publication; the same command resumes."""
    from art_model.train import launch
    from pipeline.train import load_train_config

    with _stopped_by_ctrl_c():
        launch(load_train_config(config, set_ or []), lambda line: console.print(line, soft_wrap=True))


@app.command()
def evaluate(
    config: Annotated[
        Path, typer.Argument(help="A YAML configuration, such as configs/evaluate/demo.yaml.", metavar="CONFIG")
    ],
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder to write and to go on in; runs/evaluate/NAME otherwise.")
    ] = None,
    set_: Overrides = None,
) -> None:
    """Compares models on one bench: tables, charts, and a page with their pictures side by side."""
    from pipeline.evaluate import evaluate as measure
    from pipeline.evaluate_config import load_evaluate_config
    from pipeline.evaluate_report import MARKDOWN_FILE, write_evaluation

    folder = out or Path("runs") / "evaluate" / config.stem
    with _stopped_by_ctrl_c():
        page = write_evaluation(measure(load_evaluate_config(config, set_ or []), folder, console), folder)
    console.print((folder / MARKDOWN_FILE).read_text(encoding="utf-8"), markup=False, soft_wrap=True)
    console.print(f"{page}", soft_wrap=True)


@app.command()
def review(
    run: Annotated[str | None, typer.Argument(help="The folder of a run, or its URL.", metavar="RUN")] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Blind comparison of two runs, publications or layered folders of the same briefs."),
    ] = None,
    reviewer: Annotated[str, typer.Option(help="Who reviews; your login name otherwise.")] = "",
    host: Annotated[str, typer.Option(help="The address to serve on; one of the network needs a token.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="The port; the first free one from 8765 on otherwise.")] = None,
    queue: Annotated[
        str, typer.Option(help="Opens with undecided, threshold, disagreement, conflict, audit or calibration.")
    ] = "",
    overlap: Annotated[int, typer.Option(min=1, help="Reviewers that each sample is given to.")] = 1,
    browser: Annotated[bool, typer.Option(help="Opens the page in a browser.")] = True,
) -> None:
    """Opens the page on which people choose what is published, or compare two models blindly."""
    from pipeline.review import ReviewOptions, compare_designs, review_run

    if (run is None) == (compare is None):
        raise UserError("give either the folder of a RUN, or --compare A B")
    options = ReviewOptions(reviewer, host, port, overlap, queue, browser)
    with _ended_by_ctrl_c():
        if run is not None:
            review_run(run, options, console)
        elif compare is not None:
            compare_designs(*compare, options, console)


@app.command()
def calibrate(
    run: RunFolder,
    labels: Annotated[Path | None, typer.Option(help="A CSV or Parquet file of labels, in place of decisions.")] = None,
    precision: Annotated[float | None, typer.Option(help="How much of what passes must be good, in 0…1.")] = None,
    recall: Annotated[float | None, typer.Option(help="How much of what is good must pass; 0.95 otherwise.")] = None,
    out: Annotated[Path | None, typer.Option(help="The folder to write; RUN/calibration otherwise.")] = None,
) -> None:
    """Chooses thresholds by what people decided: a fragment of configuration that `shard` takes."""
    from pipeline.calibrate import calibrate_run, target_of
    from pipeline.calibration_files import write_calibration
    from pipeline.calibration_view import render_calibration

    calibrated = calibrate_run(run, labels, target_of(precision, recall))
    console.print(render_calibration(calibrated, write_calibration(calibrated, out)), soft_wrap=True)


@app.command()
def status(
    run: RunFolder,
    watch: Annotated[bool, typer.Option("--watch", help="Keeps it up to date until nobody is at work.")] = False,
    every: Annotated[float, typer.Option(min=0.5, help="Seconds between two looks.")] = 5.0,
) -> None:
    """Shows how far a run is, from any machine that reaches it."""
    from pipeline.status import render_status, run_status, watch_status

    if watch:
        with _ended_by_ctrl_c():
            watch_status(run, every, console)
        return
    console.print(render_status(run_status(run)))


@app.command()
def inspect(
    path: Annotated[str, typer.Argument(help="A run, a publication, a tar or a layered folder.")],
    key: Annotated[str | None, typer.Argument(help="One sample.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draws the sample with its layers into a PNG.")] = None,
) -> None:
    """Lists the samples of anything, or shows all that is known of one."""
    from pipeline.inspection import draw_sample
    from pipeline.inspection import inspect as look
    from pipeline.inspection_view import render_inspection
    from pipeline.single import write_png

    if picture is not None and key is None:
        raise UserError("--picture draws one sample: give its KEY too")
    console.print(render_inspection(look(path, key)))
    if picture is not None and key is not None:
        write_png(picture, draw_sample(path, key))


@app.command()
def licences(
    path: Annotated[str, typer.Argument(help="A run, a publication or a layered folder.")],
    json_: Annotated[Path | None, typer.Option("--json", help="Also writes the counts as JSON.")] = None,
) -> None:
    """Counts under which licences the parts of a set are, and who drew them."""
    from pipeline.licences import licences_of, write_licences

    summary = licences_of(path)
    console.print(summary.to_markdown(), markup=False, soft_wrap=True)
    console.print(f"samples {summary.samples}, of them under more than one licence {summary.mixed}")
    if json_ is not None:
        write_licences(json_, summary)


@app.command()
def verify(path: Annotated[str, typer.Argument(help="A run or a publication.")]) -> None:
    """Checks every byte and every composite; names each damaged sample."""
    from pipeline.verification import verify_path

    problems = verify_path(path)
    for problem in problems:
        console.print(f"{problem}", soft_wrap=True)
    if problems:
        raise typer.Exit(FAILED_WORK)
    console.print(f"{path}: nothing is damaged", soft_wrap=True)


def _say(line: str) -> None:
    """A line of our own among those of somebody else."""
    print(line, file=sys.stderr, flush=True)


def _config_or_default(path: Path | None, overrides: list[str] | None) -> RunConfig:
    from configs import DEMO_CONFIG
    from pipeline.config import load_config

    return load_config(path or DEMO_CONFIG, overrides or [])


@contextmanager
def _stopped_by_ctrl_c() -> Iterator[None]:
    """Ends with a word instead of a traceback: what is committed is safe, the rest is made by the next try."""
    try:
        yield
    except KeyboardInterrupt:
        print("stopped; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(STOPPED) from None


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """For what is meant to be ended that way."""
    try:
        yield
    except KeyboardInterrupt:
        return


def _say_left_out(briefs: BriefList) -> None:
    """Names each bad brief that `plan.skip_bad_briefs` goes without."""
    for bad in briefs.left_out:
        console.print(f"left out: {bad}", soft_wrap=True)


def _warn_of_unknown_words(briefs: Sequence[Brief], config: RunConfig) -> None:
    """Says which words the embedded model cannot read: it draws something else then."""
    from pipeline.plan_summary import unknown_words_of

    words = sorted({word for brief in briefs for word in unknown_words_of(brief, config)})
    if words:
        shown = ", ".join(words[:10]) + (", …" if len(words) > 10 else "")
        print(f"warning: {config.layer_flux.model} does not know: {shown}", file=sys.stderr)


def _publish(session: RunSession, prune: bool) -> None:
    from pipeline.publish import publish_session

    published = publish_session(session, prune)
    console.print(published.summary, soft_wrap=True)


def _exit_for_failures(session: RunSession) -> None:
    """Exit code 1 when samples of the run have failed: they are kept, named and can be retried."""
    from ledger.index import RunIndex

    failed = list(RunIndex.load(session.run.storage).failures())
    if failed:
        named = ", ".join(failed[:5]) + (", …" if len(failed) > 5 else "")
        console.print(f"{len(failed)} failed ({named}): layerprism retry {session.run.place}", soft_wrap=True)
        raise typer.Exit(FAILED_WORK)
