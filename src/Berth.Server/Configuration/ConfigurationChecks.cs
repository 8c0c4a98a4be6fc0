using Berth.Core.Errors;
using Berth.Core.Resources;

namespace Berth.Server.Configuration;

/// <summary>
/// What must hold between keys. What one key may be on its own stands in <see cref="ConfigurationKeys"/>.
/// </summary>
internal static class ConfigurationChecks
{
    public static void Check(ServerOptions options, IReadOnlyDictionary<string, ConfiguredValue> values)
    {
        Bound(values, options.DefaultLimits.Memory <= options.MaxLimits.Memory, "default-memory", "max-memory");
        Bound(
            values, options.DefaultLimits.Cpu.Millicores <= options.MaxLimits.Cpu.Millicores,
            "default-cpus", "max-cpus");
        Bound(values, options.DefaultLimits.Pids <= options.MaxLimits.Pids, "default-pids", "max-pids");
        Bound(
            values, options.DefaultLimits.WritableLayer <= options.MaxLimits.WritableLayer,
            "default-disk", "max-disk");
        Bound(values, options.CallTimeout <= options.MaxCallTimeout, "call-timeout", "max-call-timeout");
        Bound(values, options.TaskTimeout <= options.MaxTaskTimeout, "task-timeout", "max-task-timeout");
        CheckPaths(options, values);
        if (options is { FunctionDomain: not null, HostNames.Count: 0 })
        {
            // Otherwise a function called as the server is would be sent other people's tokens.
            throw ConfigurationReader.Refuse(
                values["function-domain"],
                "host-names must be given too: the names by which the server itself is reached");
        }

        if (options is { Advertise: not null, NodeListen.Count: 0 })
        {
            throw ConfigurationReader.Refuse(values["advertise"], "node-listen must be given too");
        }

        if (options.NodeName.Length > 64
            || options.NodeName.Any(c => !char.IsAsciiLetterOrDigit(c) && c is not ('-' or '.' or '_')))
        {
            throw ConfigurationReader.Refuse(
                values["node-name"], "at most 64 letters, digits, '-', '.' and '_' make a name");
        }
    }

    private static void CheckPaths(ServerOptions options, IReadOnlyDictionary<string, ConfiguredValue> values)
    {
        if (!Path.IsPathFullyQualified(options.DataFolder))
        {
            throw ConfigurationReader.Refuse(values["data"], "write an absolute path");
        }

        if ((options.TlsCertificate is null) != (options.TlsKey is null))
        {
            (string given, string missing) = options.TlsKey is null
                ? ("tls-certificate", "tls-key")
                : ("tls-key", "tls-certificate");
            throw ConfigurationReader.Refuse(values[given], $"{missing} must be given too");
        }

        if (options is { StorePasswordFile: not null, Store: null })
        {
            throw ConfigurationReader.Refuse(values["store-password-file"], "store must be given too");
        }

        foreach (string name in (ReadOnlySpan<string>)["tls-certificate", "tls-key", "store-password-file"])
        {
            if (values[name].Text is { Length: > 0 } path && !File.Exists(path))
            {
                throw ConfigurationReader.Refuse(values[name], "there is no such file");
            }
        }
    }

    private static void Bound(
        IReadOnlyDictionary<string, ConfiguredValue> values, bool holds, string lower, string upper)
    {
        if (!holds)
        {
            ConfiguredValue bound = values[upper];
            throw ConfigurationReader.Refuse(
                values[lower],
                $"it is more than {upper} = '{bound.Text}' (from {bound.Source}); lower the one or raise the other");
        }
    }
}
