using System.Collections.Concurrent;
using System.Collections.Frozen;
using Berth.Core.Errors;
using Berth.Core.Functions;
using Microsoft.AspNetCore.Http;

namespace Berth.Server.Functions;

/// <summary>Which function a host name stands for: names of functions' own, and all below the server's
/// <c>function-domain</c>.</summary>
/// <param name="domain">In small letters; null for none.</param>
/// <param name="own">Names of the server itself, which are no function's.</param>
internal sealed class FunctionHosts(string? domain, IEnumerable<string> own)
{
    private readonly FrozenSet<string> own = own.ToFrozenSet(StringComparer.Ordinal);

    /// <summary>Between a tag or revision and the function's name, in the one label that a certificate for
    /// <c>*.DOMAIN</c> covers.</summary>
    private const string Separator = "--";

    private readonly ConcurrentDictionary<string, string> owners = new(StringComparer.Ordinal);
    private readonly string? suffix = domain is null ? null : "." + domain;

    /// <summary>Of names of functions' own. Each request looks at it, and the dictionary counts under its locks.
    /// </summary>
    private volatile int known;

    /// <summary>Whether every request is for the server itself.</summary>
    public bool IsUnused => known == 0 && suffix is null;

    /// <summary>The function's name below the domain; null without one, and where it is the server's own.</summary>
    public string? NameOf(string function) =>
        suffix is not null && function + suffix is var name && !own.Contains(name) ? name : null;

    /// <summary>Throws <c>Conflict</c> where a name is another function's, <c>InvalidRequest</c> where it is the
    /// server's or the domain's.</summary>
    public void Check(string function, IEnumerable<string> hosts)
    {
        foreach (string host in hosts)
        {
            if (own.Contains(host))
            {
                throw new BerthException(
                    ErrorCode.InvalidRequest,
                    $"'{host}' is the server's own (host-names): callers of its interface would meet the function.");
            }

            if (host == domain || (suffix is not null && host.EndsWith(suffix, StringComparison.Ordinal)))
            {
                throw new BerthException(
                    ErrorCode.InvalidRequest,
                    $"'{host}' is of the server's function-domain, where functions are reached by their names: leave "
                    + "it away.");
            }

            if (owners.TryGetValue(host, out string? owner) && owner != function)
            {
                throw new BerthException(
                    ErrorCode.Conflict,
                    $"'{host}' is function '{owner}'s: 'berth function traffic --unhost {host} {owner}' frees it.");
            }
        }
    }

    /// <summary>Gives a function other names. Changes are made one after the other.</summary>
    public void Set(string function, IReadOnlyList<string> before, IReadOnlyList<string> hosts)
    {
        foreach (string host in before.Except(hosts))
        {
            owners.TryRemove(host, out _);
        }

        foreach (string host in hosts)
        {
            owners[host] = function;
        }

        known = owners.Count;
    }

    /// <summary>What a request's host stands for, as <c>NAME</c> or <c>NAME@REVISION</c>; null where it is no host of
    /// functions. The port says nothing, nor does the dot of a name's root (RFC 1034, section 3.1).</summary>
    /// <param name="find">A function by its name; null where there is none.</param>
    /// <exception cref="BerthException">NotFound: a name below the domain that is nobody's.</exception>
    public string? Find(HostString given, Func<string, Function?> find)
    {
        string host = given.Host;
        host = (host.EndsWith('.') ? host[..^1] : host).ToLowerInvariant();
        if (own.Contains(host))
        {
            return null;
        }

        if (owners.TryGetValue(host, out string? owner))
        {
            return owner;
        }

        if (suffix is null || !host.EndsWith(suffix, StringComparison.Ordinal))
        {
            return null;
        }

        string label = host[..^suffix.Length];
        return Reference(label, find) ?? throw new BerthException(
            ErrorCode.NotFound,
            $"No function answers at '{(host.Length > 100 ? host[..100] + "…" : host)}': "
            + $"names are NAME{suffix} and TAG--NAME{suffix}.");
    }

    /// <summary>The function's name where there is one; otherwise what stands before a function's name is a tag of it
    /// or <c>rev-NUMBER</c>.</summary>
    private static string? Reference(string label, Func<string, Function?> find)
    {
        if (find(label) is not null)
        {
            return label;
        }

        for (int at = label.IndexOf(Separator, StringComparison.Ordinal); at > 0;
            at = label.IndexOf(Separator, at + 1, StringComparison.Ordinal))
        {
            string name = label[(at + Separator.Length)..];
            if (find(name) is not { } function)
            {
                continue;
            }

            string part = label[..at];
            const string revision = "rev-";
            string wanted = !function.Traffic.Tags.ContainsKey(part)
                && part.StartsWith(revision, StringComparison.Ordinal)
                    ? part[revision.Length..]
                    : part;
            return name + "@" + wanted;
        }

        return null;
    }
}
