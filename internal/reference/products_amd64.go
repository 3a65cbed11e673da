package reference

import "golang.org/x/sys/cpu"

//go:noescape
func dotsAVX2(scores *float64, stride int, q, k *float64, dim, keys int, scale float64)

//go:noescape
func sumsAVX2(out, weights *float64, stride int, v *float64, dim, keys int)

func init() {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		vectors = &products{dots: dotsAVX2, sums: sumsAVX2}
	}
}
