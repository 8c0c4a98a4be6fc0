using System.Reflection;
using Microsoft.Extensions.Logging;
using Xunit;

namespace Berth.Tests.Gates;

/// <summary>Messages of the server's log are known by their numbers, which people search for and filter by.</summary>
public sealed class LogMessageTests
{
    private static readonly Assembly[] Assemblies =
    [
        typeof(Berth.Registry.RegistryServer).Assembly,
        typeof(Berth.Node.LocalNode).Assembly,
        typeof(Berth.Server.BerthServer).Assembly,
        typeof(Berth.Oci.Content.ContentStore).Assembly,
        typeof(Berth.Cli.Servers.ServerCommands).Assembly,
        typeof(Berth.Commands.BerthRoot).Assembly,
    ];

    [Fact]
    public void Every_log_message_has_a_number_of_its_own_in_its_assembly()
    {
        var wrong =
            from assembly in Assemblies
            from message in Messages(assembly).GroupBy(m => m.Number)
            where message.Key <= 0 || message.Count() > 1
            select $"{assembly.GetName().Name} {message.Key}: {string.Join(", ", message.Select(m => m.Name))}";

        Assert.Empty(wrong);
        Assert.True(Assemblies.Sum(assembly => Messages(assembly).Count()) > 30, "the messages are found");
    }

    private static IEnumerable<(int Number, string Name)> Messages(Assembly assembly) =>
        from type in assembly.GetTypes()
        from method in type.GetMethods(BindingFlags.Static | BindingFlags.Instance | BindingFlags.Public
            | BindingFlags.NonPublic | BindingFlags.DeclaredOnly)
        let attribute = method.GetCustomAttribute<LoggerMessageAttribute>()
        where attribute is not null
        select (attribute.EventId, $"{type.FullName}.{method.Name}");
}
