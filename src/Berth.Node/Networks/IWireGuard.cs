using System.Net;

namespace Berth.Node.Networks;

/// <summary>A device that encrypts what goes to other machines, and lets in only what one of them encrypted for this
/// one, from the address that it may send from (WireGuard). It goes with this process. Not thread-safe; throws
/// LinuxException.</summary>
internal interface IWireGuard : IAsyncDisposable
{
    /// <summary>Begins with no other machines.</summary>
    /// <param name="port">UDP, of the machine.</param>
    void SetKey(byte[] privateKey, int port);

    /// <summary>There may be the same already.</summary>
    /// <param name="address">What goes to it, and what it may send from.</param>
    void SetPeer(byte[] publicKey, IPEndPoint endpoint, IPAddress address);

    /// <summary>Nothing happens where there is none.</summary>
    void Remove(byte[] publicKey);
}
