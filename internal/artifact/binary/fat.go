package binary

import (
	"context"
	"encoding/binary"
)

const fatMagic = 0xcafebabe

func isFat(file []byte) bool {
	return len(file) >= 8 && binary.BigEndian.Uint32(file) == fatMagic
}

func compareFat(ctx context.Context, fa, fb []byte, o Options) (Result, error) {
	return Result{}, ErrFormat
}
