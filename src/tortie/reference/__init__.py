"""Decides a flow straight from the resources, plainly and slowly; the judge of everything else."""
