package centre

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/ledger"
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

// A node that is served already is refused at once, with the address: its process
// ends when it is stopped, and not by itself.
func TestOpenOfAServedNode(t *testing.T) {
	t.Parallel()
	dir := newNode(t, InitOptions{})
	addr, _ := serve(t, dir)
	ctx, cancel := context.WithTimeout(within(t), endPatience/2)
	defer cancel()
	_, err := Open(ctx, dir, quiet())
	if !errors.Is(err, ledger.ErrHeld) || !strings.Contains(err.Error(), addr) {
		t.Errorf("a second server: %v", err)
	}
}
