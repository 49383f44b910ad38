"""Tables and figures of the reproduction as Markdown on the standard output.

    python examples/paper/report.py results/ > docs/paper.md

Figures go into a folder that lies beside the report (``--figures docs/paper``). What
was written by hand, in `discussion.md` beside this script, follows the introduction.
"""

import argparse
import sys
from inspect import getdoc, signature
from pathlib import Path

import steps
import tables
import tables_reviewers
from figures import draw_all
from results import Results

DISCUSSION = Path(__file__).with_name("discussion.md")
INTRODUCTION = """\
# The paper, reproduced

Ours beside the published numbers: V1 is the submission, V2 the camera-ready version.
Values are means over training seeds, "+-" is the standard deviation between seeds (the
paper's is that between evaluation draws of one seed). p: paired t-test of the model
against BL over seeds, which share initial weights and batches; Wilcoxon's test cannot
get below 1/16 with five seeds. Nothing is corrected for the number of tests. Reductions
are in % against BL with the same seed; positive is better. Only valid counterfactuals
enter IP and cost: read them beside the validity. Only cells that are finished count.
"""

# A table takes the results; if it needs a version as well, there is one for each.
SECTIONS = {
    "BL anchors": tables.anchors,
    "Table I: reductions against BL, in %": tables.reductions,
    "Absolute values": tables.absolutes,
    "Table III: validity": tables.validity,
    "Protected columns: what training knew of them": tables.protection,
    "Table II: sensitivity to protected columns": tables.sensitivities,
    "Clean accuracy": tables.accuracies,
    "Fig. 5: accuracy under attack, radius 0.1": tables.attacks,
    "Fig. 6: ablation, reductions in %": tables.ablation,
    "One seed of BL, CT and constrained CT": tables.one_seed,
    "Effort and maturity": tables.effort,
    **tables_reviewers.TABLES,
    "Steps or counterfactuals": steps.of_results,
}


def write(results, figures):
    """All sections as one text."""
    parts = [INTRODUCTION, *discussion()]
    for title, table in SECTIONS.items():
        parts += section(results, title, table)
    for title, file, caption in figures:
        picture = f"![{title}]({file.parent.name}/{file.name})"
        parts.append(f"## {title}\n\n{picture}\n\n{caption}\n")
    return "\n".join(parts)


def discussion():
    """What was written by hand, if anything."""
    return [DISCUSSION.read_text()] if DISCUSSION.is_file() else []


def section(results, title, table):
    """One table with what it shows, or one for each version."""
    parameters, words = signature(table).parameters.values(), getdoc(table)
    if sum(p.default is p.empty for p in parameters) == 1:
        return [f"## {title}\n\n{words}\n\n{table(results)}"]
    return [
        f"## {title}, {v}\n\n{words}\n\n{table(results, v)}" for v in results.versions
    ]


def main(arguments=None):
    """Print the report."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--figures", type=Path, default=Path("docs/paper"))
    options = parser.parse_args(arguments)
    results = Results(options.results)
    print(write(results, draw_all(results, options.figures)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
