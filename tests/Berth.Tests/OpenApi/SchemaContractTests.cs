using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;
using Berth.Api.Access;
using Berth.Api.Containers;
using Berth.Api.Functions;
using Berth.Api.Images;
using Berth.Api.Links;
using Berth.Api.Networks;
using Berth.Api.Nodes;
using Berth.Api.Repositories;
using Berth.Api.Rollouts;
using Berth.Api.Runs;
using Berth.Api.Secrets;
using Berth.Api.Server;
using Berth.Api.Triggers;
using Berth.Core.Containers;
using Berth.Core.Rollouts;
using Berth.Core.Runs;
using Berth.Oci.Distribution;
using Berth.Server.Access;
using Berth.Server.Calls;
using Berth.Server.ContainerEndpoints;
using Berth.Server.OpenApi;
using Berth.Server.RolloutEndpoints;
using Xunit;

namespace Berth.Tests.OpenApi;

/// <summary>The schemas of the document are those of the JSON that is written and read.</summary>
public sealed class SchemaContractTests
{
    private static readonly JsonObject Schemas =
        JsonNode.Parse(OpenApiDocument.Bytes.Span)!["components"]!["schemas"]!.AsObject();

    // Read from outside: a member without a value is left to the program.
    private static readonly Type[] Requests =
    [
        typeof(TokenRequest), typeof(CopyRequest), typeof(PolicyView), typeof(RetentionView), typeof(RetentionRequest),
        typeof(UpstreamView), typeof(PruneRequest),
        typeof(ContainerRequest), typeof(MountView), typeof(HealthCheckRequest), typeof(VolumeRequest),
        typeof(SystemPruneRequest), typeof(StreamMessage), typeof(ExecRequest),
        typeof(FunctionRequest), typeof(TrafficView), typeof(RollbackRequest), typeof(TriggerRequest),
        typeof(ScaleRequest), typeof(RolloutRequest), typeof(NodePatch), typeof(JoinTokenRequest),
    ];

    private static readonly JsonTypeInfo[] Contracts = [.. Walk(
        ContainerJson.Default.ContainerRequest, ContainerJson.Default.ContainerView,
        ContainerJson.Default.ContainerPage, ContainerJson.Default.ContainerStats,
        ContainerJson.Default.ContainerProcesses, ContainerJson.Default.PathView, ContainerJson.Default.VolumeView,
        ContainerJson.Default.VolumeRequest, ContainerJson.Default.VolumeList, ContainerJson.Default.SystemUsage,
        ContainerJson.Default.SystemPruneRequest, ContainerJson.Default.SystemPruneResult,
        ContainerJson.Default.StreamMessage,
        FunctionJson.Default.FunctionRequest, FunctionJson.Default.FunctionList,
        FunctionJson.Default.FunctionDeployment, FunctionJson.Default.FunctionPlan,
        FunctionJson.Default.RevisionList,
        FunctionJson.Default.RollbackRequest, FunctionJson.Default.ScaleRequest,
        RolloutJson.Default.RolloutView,
        SecretJson.Default.SecretList, TriggerJson.Default.TriggerList, TriggerJson.Default.TriggerPlan,
        TriggerJson.Default.EventList,
        NetworkJson.Default.NetworkList, NetworkJson.Default.NetworkRequest, NetworkJson.Default.NetworkView,
        NetworkJson.Default.NetworkPruneResult,
        AccessJson.Default.TokenList, AccessJson.Default.TokenRequest, AccessJson.Default.TokenCreated,
        ImageJson.Default.ImagePage, ImageJson.Default.ImageDetail,
        ImageJson.Default.ImageDiff, ImageJson.Default.PruneRequest, ImageJson.Default.PruneReport,
        ImageJson.Default.CopyRequest, ImageJson.Default.CopyProgress,
        RepositoryJson.Default.RepositoryPage, RepositoryJson.Default.RepositoryDetail,
        RepositoryJson.Default.PolicyView, RepositoryJson.Default.RetentionRequest,
        RepositoryJson.Default.RetentionReport,
        NodeJson.Default.NodeView, NodeJson.Default.VersionView, NodeJson.Default.SandboxList,
        NodeJson.Default.MachineList, NodeJson.Default.MachineDrain, NodeJson.Default.NodePatch,
        NodeJson.Default.JoinTokenRequest, NodeJson.Default.JoinTokenCreated, NodeJson.Default.JoinTokenList,
        NodeJson.Default.JoinTokenView,
        RunJson.Default.RunView, RunJson.Default.RunPage, RunJson.Default.RunEventView, RunJson.Default.RunWhy,
        RunJson.Default.Problem,
        ServerJson.Default.CollectionView, ServerJson.Default.HealthView)];

    public static TheoryData<string> Names => [.. Contracts.Select(c => c.Type.Name)];

    [Fact]
    public void Every_type_of_the_wire_has_a_schema()
    {
        IEnumerable<string> objects =
            Schemas.Where(s => s.Value!["type"]!.GetValue<string>() == "object").Select(s => s.Key);

        Assert.Equal(Contracts.Select(c => c.Type.Name).Order(), objects.Order());
    }

    [Fact]
    public void The_contracts_are_all_that_the_wire_has()
    {
        var roots =
            from context in typeof(RunJson).Assembly.GetTypes()
            where context.IsSubclassOf(typeof(JsonSerializerContext))
            // What servers and nodes say to each other has a page of its own.
            where context != typeof(LinkJson) && context != typeof(NetworkLinkJson)
                && context != typeof(ContainerLinkJson)
            from attribute in context.GetCustomAttributesData()
            where attribute.AttributeType == typeof(JsonSerializableAttribute)
            select ((Type)attribute.ConstructorArguments[0].Value!).Name;

        Assert.Empty(roots.Except(Contracts.Select(c => c.Type.Name)));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_schema_has_the_members_of_its_contract(string name)
    {
        JsonTypeInfo contract = Contracts.Single(c => c.Type.Name == name);
        JsonObject properties = Schemas[name]!["properties"]!.AsObject();

        Assert.Equal(contract.Properties.Select(p => p.Name), properties.Select(p => p.Key));
        Assert.All(contract.Properties, p => AssertType(p, properties[p.Name]!));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void What_is_always_there_is_required(string name)
    {
        JsonTypeInfo contract = Contracts.Single(c => c.Type.Name == name);
        // One of which nothing is always there has no such list.
        IEnumerable<string> required =
            Schemas[name]!["required"]?.AsArray().Select(r => r!.GetValue<string>()) ?? [];
        IEnumerable<string> always = contract.Properties.Where(p => !MayBeNull(contract.Type, p)).Select(p => p.Name);

        if (Requests.Contains(contract.Type))
        {
            Assert.Empty(required.Except(always));
        }
        else
        {
            Assert.Equal(always.Order(), required.Order());
        }
    }

    [Fact]
    public void Words_of_the_wire_are_those_of_the_program()
    {
        Assert.Equal(Enum.GetNames<RunState>().Select(n => n.ToLowerInvariant()), Words("RunState"));
        Assert.Equal(Enum.GetValues<EndReason>().Select(RunAnswer.NameOf), Words("EndReason"));
        Assert.Equal(
            Enum.GetValues<ContainerState>().Select(ContainerSteps.Word).Append(ContainerPresentation.Unknown),
            Words("ContainerState"));
        Assert.Equal(Enum.GetValues<Role>().Select(Roles.NameOf), Words("Role"));
        Assert.Equal(Enum.GetValues<RolloutState>().Select(RolloutOrder.NameOf), Words("RolloutView", "state"));
        Assert.Equal(
            typeof(RolloutEventTypes).GetFields(BindingFlags.Public | BindingFlags.Static)
                .Select(f => (string)f.GetRawConstantValue()!),
            Words("RolloutEventView", "type"));
        Assert.Equal(
            typeof(RunEventTypes).GetFields(BindingFlags.Public | BindingFlags.Static)
                .Select(f => (string)f.GetRawConstantValue()!).Order(),
            Words("RunEventView", "type").Order());
        Assert.Equal(
            Enum.GetNames<CopyPhase>().Select(n => n.ToLowerInvariant()).Concat(["done", "failed"]).Order(),
            Words("CopyProgress", "status").Order());
    }

    private static IEnumerable<string> Words(string schema, string? member = null) =>
        (member is null ? Schemas[schema]! : Schemas[schema]!["properties"]![member]!)["enum"]!
            .AsArray().Select(w => w!.GetValue<string>());

    private static void AssertType(JsonPropertyInfo property, JsonNode schema)
    {
        Type type = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
        string reference = schema["$ref"]?.GetValue<string>().Split('/')[^1] ?? "";
        string said = reference.Length == 0
            ? schema["type"]!.GetValue<string>()
            : Schemas[reference]!["type"]!.GetValue<string>();
        string expected = type == typeof(string) || type == typeof(DateTimeOffset) ? "string"
            : type == typeof(bool) ? "boolean"
            : type == typeof(int) || type == typeof(long) || type == typeof(uint) || type == typeof(ushort)
                ? "integer"
            : type == typeof(double) ? "number"
            : type.IsGenericType && type.GetGenericTypeDefinition() == typeof(IReadOnlyList<>) ? "array"
            : "object";
        Assert.True(said == expected, $"{property.Name} is {expected} and not {said}");
        Assert.Equal(type == typeof(DateTimeOffset), schema["format"]?.GetValue<string>() == "date-time");
        if (type.Namespace!.StartsWith("Berth", StringComparison.Ordinal))
        {
            Assert.Equal(type.Name, reference);
        }

        Assert.False(reference.Length == 0 && schema["description"] is null, $"{property.Name} is not described");
    }

    private static bool MayBeNull(Type owner, JsonPropertyInfo property)
    {
        PropertyInfo member = owner.GetProperties()
            .Single(p => JsonNamingPolicy.CamelCase.ConvertName(p.Name) == property.Name);
        return new NullabilityInfoContext().Create(member).ReadState == NullabilityState.Nullable;
    }

    /// <summary>The types and all that they are made of, each once.</summary>
    private static Dictionary<Type, JsonTypeInfo>.ValueCollection Walk(params JsonTypeInfo[] roots)
    {
        Dictionary<Type, JsonTypeInfo> found = [];
        Queue<JsonTypeInfo> open = new(roots);
        while (open.TryDequeue(out JsonTypeInfo? info))
        {
            if (info.Kind == JsonTypeInfoKind.Object && found.TryAdd(info.Type, info))
            {
                foreach (JsonPropertyInfo property in info.Properties)
                {
                    open.Enqueue(info.Options.GetTypeInfo(property.PropertyType));
                }
            }
            else if (info.ElementType is { } element)
            {
                open.Enqueue(info.Options.GetTypeInfo(element));
            }
        }

        return found.Values;
    }
}
