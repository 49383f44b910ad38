"""Tables and figures of the reproduction as Markdown on the standard output.

    python examples/paper/report.py results/ > docs/paper.md

Figures go into a folder that lies beside the report (``--figures docs/paper``).
"""

import argparse
import sys
from pathlib import Path

import tables
from figures import draw_all
from results import Results

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

SECTIONS = {
    "BL anchors": tables.anchors,
    "Table I: reductions against BL, in %": tables.reductions,
    "Absolute values": tables.absolutes,
    "Table III: validity": tables.validity,
    "Table II: sensitivity to protected columns": tables.sensitivities,
    "Clean accuracy": tables.accuracies,
    "Fig. 5: accuracy under attack, radius 0.1": tables.attacks,
    "Fig. 6: ablation, reductions in %": tables.ablation,
    "One seed of BL, CT and constrained CT": tables.one_seed,
    "Effort and maturity": tables.effort,
}
BOTH = (tables.anchors, tables.reductions, tables.one_seed)


def write(results, figures):
    """All sections as one text."""
    parts = [INTRODUCTION]
    for title, table in SECTIONS.items():
        if table in BOTH:
            parts.append(f"## {title}\n\n{table(results)}")
            continue
        parts += [f"## {title}, {v}\n\n{table(results, v)}" for v in results.versions]
    for title, file in figures:
        parts.append(f"## {title}\n\n![{title}]({file.parent.name}/{file.name})\n")
    return "\n".join(parts)


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
