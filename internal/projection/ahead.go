package projection

import "context"

// ahead is a batch on its way.
type ahead struct {
	from  int64
	ready chan struct{} // closed when the rest is there
	batch *read
	err   error
}

// bufferSize is more than nearly all statements have.
const bufferSize = 16 << 10

// buffer returns room for a statement that is not kept.
func (p *Projection) buffer() *[]byte {
	if b, ok := p.buffers.Get().(*[]byte); ok {
		return b
	}
	b := make([]byte, bufferSize)
	return &b
}

// readAhead begins to read a batch, where no other log has one on its way: what
// is read ahead takes memory.
func (f *follow) readAhead(ctx context.Context, from, to int64) {
	f.forget()
	select {
	case f.p.spare <- struct{}{}:
	default:
		return
	}
	a := &ahead{from: from, ready: make(chan struct{})}
	f.ahead = a
	t := f.trust
	go func() {
		defer close(a.ready)
		defer func() { <-f.p.spare }()
		a.batch, a.err = f.prepare(ctx, from, to, t)
	}()
}

// take returns the batch that was read ahead, where it is the one that is
// wanted, or reads it.
func (f *follow) take(ctx context.Context, from, to int64) (*read, error) {
	a := f.ahead
	f.ahead = nil
	if a != nil {
		<-a.ready
		if a.err == nil && a.from == from && a.batch.trust.same(f.trust) {
			return a.batch, nil
		}
	}
	return f.prepare(ctx, from, to, f.trust)
}

// forget waits for the batch that is read ahead and throws it away.
func (f *follow) forget() {
	if f.ahead != nil {
		<-f.ahead.ready
		f.ahead = nil
	}
}
