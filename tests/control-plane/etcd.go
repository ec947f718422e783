package main

import (
	"fmt"
	"net/url"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
)

const (
	// The sockets are relative: etcd takes no path in a unix URL, and a path
	// in a deep temporary directory would exceed what a socket address holds.
	// The number is part of the file's name; etcd insists on one.
	etcdClientURL = "unix://etcd-client:0"
	etcdPeerURL   = "unix://etcd-peer:0"

	etcdStartTimeout = 30 * time.Second
)

// startEtcd starts a single member in the working directory. It listens on
// sockets only, so that no other user of the machine reaches the store, which
// asks for no password, and no port can be taken in between.
func startEtcd() (*embed.Etcd, error) {
	client, err := url.Parse(etcdClientURL)
	if err != nil {
		return nil, err
	}
	peer, err := url.Parse(etcdPeerURL)
	if err != nil {
		return nil, err
	}
	config := embed.NewConfig()
	config.Dir = "etcd"
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.LogLevel = "error"
	// The data is thrown away with the directory; a test pays for no disk.
	config.UnsafeNoFsync = true
	etcd, err := embed.StartEtcd(config)
	if err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
		return etcd, nil
	case err := <-etcd.Err():
		return nil, fmt.Errorf("etcd: %w", err)
	case <-time.After(etcdStartTimeout):
		return nil, fmt.Errorf("etcd was not ready within %s", etcdStartTimeout)
	}
}
