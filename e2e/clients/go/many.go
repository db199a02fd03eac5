package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"
)

const (
	// connecting is how many connections are opened at a time, so that no queue of new ones overflows.
	connecting = 50
	// patience is how long all fetches together may take.
	patience = 10 * time.Minute
)

// many opens all connections first. Then it fetches on all of them at once.
func many(number, address, authority string) error {
	count, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	target, err := url.Parse(address)
	if err != nil {
		return err
	}
	model, err := transport(authority)
	if err != nil {
		return err
	}
	connections, err := open(count, target.Hostname(), model.TLSClientConfig)
	if err != nil {
		return err
	}
	fmt.Println(count, "connections")
	begin := time.Now()
	came := fetchAll(connections, address)
	fmt.Fprintln(os.Stderr, "took", time.Since(begin).Seconds())
	for what, times := range came {
		fmt.Println(times, what)
	}
	return nil
}

func open(count int, host string, config *tls.Config) ([]net.Conn, error) {
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: within}, Config: config}
	connections, errs := make([]net.Conn, count), make([]error, count)
	places := make(chan struct{}, connecting)
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			connections[i], errs[i] = dialer.Dial("tcp", net.JoinHostPort(host, "443"))
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, fmt.Errorf("connection %d of %d: %w", i+1, count, err)
		}
	}
	return connections, nil
}

// fetchAll says how often each sum came, or each error.
func fetchAll(connections []net.Conn, address string) map[string]int {
	var all sync.WaitGroup
	var lock sync.Mutex
	came := map[string]int{}
	for _, connection := range connections {
		all.Go(func() {
			what, err := fetchOn(connection, address)
			if err != nil {
				what = err.Error()
			}
			lock.Lock()
			defer lock.Unlock()
			came[what]++
		})
	}
	all.Wait()
	return came
}

func fetchOn(connection net.Conn, address string) (string, error) {
	defer connection.Close()
	taken := false
	transport := &http.Transport{DialTLSContext: func(context.Context, string, string) (net.Conn, error) {
		if taken {
			return nil, fmt.Errorf("the connection did not carry the request")
		}
		taken = true
		return connection, nil
	}}
	defer transport.CloseIdleConnections()
	answer, err := (&http.Client{Transport: transport, Timeout: patience}).Get(address)
	if err != nil {
		return "", err
	}
	return digest(answer)
}
