using System.Net.Sockets;

namespace Berth.IntegrationTests.EndToEnd;

/// <summary>What a request can end with when its server is killed under it.</summary>
internal static class ConnectionLoss
{
    /// <summary>
    /// True of an answer that never came or broke off. HttpClient throws a bare SocketException where the server is
    /// gone between the connecting and the first byte.
    /// </summary>
    public static bool IsIn(Exception error) => error is HttpRequestException or OperationCanceledException
        or ObjectDisposedException or IOException or SocketException;
}
