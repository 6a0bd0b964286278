package centre

import (
	"testing"
	"time"
)

// A node is served once a command that held it meanwhile has ended: one that
// waits for witnesses in vain takes ten seconds.
func TestOpenOutwaitsACommand(t *testing.T) {
	t.Parallel()
	dir := newNode(t, InitOptions{})
	first, err := Open(within(t), dir, quiet())
	check(t, err)
	ended := make(chan error)
	time.AfterFunc(5*time.Second, func() { ended <- first.Close(within(t)) })
	second, err := Open(within(t), dir, quiet())
	check(t, <-ended)
	check(t, err)
	check(t, second.Close(within(t)))
}
