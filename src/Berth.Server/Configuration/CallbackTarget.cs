using System.Net;

namespace Berth.Server.Configuration;

/// <summary>What may stand in the list of allowed callback targets: a host name, an address, or a network.</summary>
internal static class CallbackTarget
{
    public static bool IsValid(string text) =>
        IPNetwork.TryParse(text, out _) || Uri.CheckHostName(text) != UriHostNameType.Unknown;
}
