using Berth.Core.Networks;
using Berth.Core.Resources;

namespace Berth.Server.Networks;

/// <summary>What a program's network is called: the word that asks for it.</summary>
internal static class NetworkWord
{
    public static string Of(NetworkMode mode, NetworkUse? use) =>
        use?.Name ?? (mode == NetworkMode.Host ? "host" : "none");
}
