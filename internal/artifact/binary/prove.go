package binary

type proof struct {
	causes    []Cause
	explained bool
	residue   int64
}

func prove(a, b *image, o Options) proof { return proof{} }
