package artifact

import (
	"regexp"
	"sync"
)

// pattern is a regular expression that is compiled when it is first used: each
// start of the program would pay for it otherwise.
type pattern func() *regexp.Regexp

func lazily(expr string) pattern {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expr) })
}
