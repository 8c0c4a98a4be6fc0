using Berth.Core.Callbacks;
using Berth.Core.Errors;
using Berth.Oci.Distribution;

namespace Berth.Registry.Mirrors;

/// <summary>Another registry whose content the repositories of a scope are a cache of.</summary>
/// <param name="Url">Scheme, host and port; a path is put before the repositories' names there.</param>
/// <param name="Username">Null for anonymous.</param>
public sealed record UpstreamPolicy(string Url, string? Username, string? Password)
{
    /// <summary>Throws <c>InvalidRequest</c> for a URL that can't be a registry's.</summary>
    public Uri Parse() =>
        WebAddress.TryParse(Url, out Uri? address)
        && address.UserInfo.Length == 0 && address.Query.Length == 0 && address.Fragment.Length == 0
            ? address
            : throw new BerthException(
                ErrorCode.InvalidRequest,
                $"'{Url}' is not a registry's address: write scheme and host, and a path before the names there if "
                + "need be, such as https://registry.example.org or https://registry.example.org/team.");

    internal RegistryCredentials? Credentials => Username is null ? null : new(Username, Password ?? "");
}

/// <summary>Where a repository's content is fetched from.</summary>
/// <param name="Repository">Its name there.</param>
internal sealed record UpstreamRepository(UpstreamPolicy Upstream, string Repository);
