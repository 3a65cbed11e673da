package measure

import (
	"math"
	"slices"
)

// Summary is the median and spread of repeated measurements, in their unit.
type Summary struct {
	Runs                       int
	Min, P10, Median, P90, Max float64
}

// Summarise sorts the values in place and summarises them. Of no values every
// field is NaN.
func Summarise(values []float64) Summary {
	slices.Sort(values)
	return Summary{
		Runs: len(values),
		Min:  Quantile(values, 0), P10: Quantile(values, 0.1), Median: Quantile(values, 0.5),
		P90: Quantile(values, 0.9), Max: Quantile(values, 1),
	}
}

// Quantile is the value below which a share p of the ascending values lies,
// linear between neighbours (type 7 of Hyndman and Fan 1996, the one that the
// median of an even number of values follows). It is NaN of no values.
func Quantile(ascending []float64, p float64) float64 {
	if len(ascending) == 0 {
		return math.NaN()
	}
	at := p * float64(len(ascending)-1)
	below := int(at)
	if below >= len(ascending)-1 {
		return ascending[len(ascending)-1]
	}
	share := at - float64(below)
	return ascending[below]*(1-share) + ascending[below+1]*share
}
