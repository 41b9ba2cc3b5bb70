"""Two to four models on the same work: what each makes of the same images, with intervals for every difference."""
