package statement_test

import (
	"fmt"
	"strings"
)

// schemaRules are invalid documents, as changes of fullRelease, that releaseRules
// has not: wrong kinds of value, and rules that need two changes at once.
var schemaRules = []map[string]any{
	{"version": 1},
	{"channel": 1},
	{"previous": 1},
	{"notes": 1},
	{"notes": "https://example.com/" + strings.Repeat("x", 2029)},
	{"artifacts": map[string]any{}},
	{"artifacts": "x"},
	{"artifacts": artifacts(1025)},
	{"artifacts": append(artifacts(2), artifacts(1)...)},
	{"artifacts/0": "x"},
	{"artifacts/0/name": 1},
	{"artifacts/0/size": "1"},
	{"artifacts/0/size": 1.5},
	{"artifacts/0/sha256": 1},
	{"artifacts/0/sbom": "x"},
	{"artifacts/0/sbom/mediaType": 1},
	{"artifacts/0/sbom/size": "1"},
	{"artifacts/0/sbom/sha256": "x"},
	{"artifacts/0/sbom/extra": 1},
	{"seq": 0, "previous": remove{}},
	{"seq": remove{}, "previous": remove{}},
	{"channel": remove{}, "seq": remove{}},
	{"channel": remove{}, "previous": remove{}, "seq": 1},
	{"source": "x"},
	{"source/kind": 1, "source/commit": remove{}},
	{"source/access": 1},
	{"source/size": "1"},
	{"source/sha256": "x"},
	{"source/commit": 1},
	{"source/uri": 1},
	{"source/extra": 1},
}

func artifacts(n int) []any {
	all := make([]any, n)
	for i := range all {
		all[i] = map[string]any{"name": fmt.Sprint(i), "size": 1, "sha256": sum("a").String()}
	}
	return all
}
